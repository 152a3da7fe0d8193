#!/usr/bin/env bash
# Runs a command, and runs it again after a crash or a lost host.
#
#   launch/again.sh COMMAND ...
#
# Exit codes 0 (done), 2 (an error that you must mend) and 130 (Ctrl-C) end it,
# and any code does once this script itself was signalled. It passes SIGINT and
# SIGTERM on, and SIGHUP as SIGTERM, waits for the command to save, and ends
# with its code; a second signal is passed on, too. If it is killed, the command
# gets SIGTERM. All this holds for PID 1 of a container as well.
#
#   RESTARTS=10  how often the command is started again at most
#   PAUSE=10     seconds before each
set -u
# Job control: the command gets a Ctrl-C once, from here, and does not ignore it
# as other commands in the background do.
set -m

fail() {
  echo "error: $*" >&2
  exit 2
}
restarts=${RESTARTS:-10}
pause=${PAUSE:-10}
[[ $restarts =~ ^[0-9]+$ ]] || fail "RESTARTS=$restarts is no number"
[[ $pause =~ ^[0-9]+(\.[0-9]+)?$ ]] || fail "PAUSE=$pause is no number of seconds"
(($#)) || fail 'which command? launch/again.sh COMMAND ...'
command -v -- "$1" >/dev/null || {
  echo "error: there is no command $1" >&2
  exit 127
}
pid='' signal='' interrupted=''

pass_on() {
  signal=$1 interrupted=1
  [ -z "$pid" ] || kill -s "$1" "$pid" 2>/dev/null
}
trap 'pass_on INT' INT
trap 'pass_on TERM' TERM HUP

# Runs "$@", and leaves its exit code in `code`.
run() {
  pid=''
  "$@" &
  pid=$!
  # A signal that came before there was a process to pass it to.
  [ -z "$signal" ] || kill -s "$signal" "$pid" 2>/dev/null
  # A trap ends `wait`, which gives the true code when it is called again.
  while
    interrupted=''
    { wait "$pid"; } 2>/dev/null
    code=$?
    [ -n "$interrupted" ]
  do :; done
  pid=''
}

orphan=()
if setpriv --pdeathsig TERM true 2>/dev/null; then
  orphan=(setpriv --pdeathsig TERM)
fi
for ((attempt = 1; ; attempt++)); do
  export AGAIN_ATTEMPT=$attempt # 1 is the first
  run ${orphan[@]+"${orphan[@]}"} "$@"
  [ -z "$signal" ] || exit "$code"
  case $code in
    0 | 2 | 130) exit "$code" ;;
    126 | 127) exit "$code" ;; # there is no such command
  esac
  if ((attempt > restarts)); then
    echo "again.sh: ended with exit code $code, and is not started again:" \
      "RESTARTS=$restarts" >&2
    exit "$code"
  fi
  echo "again.sh: ended with exit code $code; starting again in $pause s" \
    "($attempt of at most $restarts times)" >&2
  run sleep "$pause"
  case $signal in
    INT) exit 130 ;;
    TERM) exit 143 ;;
  esac
done
