#!/usr/bin/env bash
# Trains on several hosts over ssh: run it on one machine, once.
#
#   HOSTS="node0 node1" launch/hosts.sh --config=... --workdir=/shared/run
#
# It starts one process on each host, with all its GPUs, and puts the host's
# name before each line that this prints. SIGINT and SIGTERM are passed on to
# all, which save. When one host fails, the others are stopped, and there is one
# exit code; after a crash all start again, see again.sh.
#
# The hosts need ssh without a password, this folder at the same path, and the
# data and --workdir on a file system that they share. config.batch_size is that
# of all hosts together, so that the result is that of one host.
#
#   HOSTS             names for ssh, such as "node0 me@node1", the first of which
#                     is the coordinator; or HOSTS_FILE, a file with one a line
#   COORDINATOR       the first host's name to the others, if that differs
#   PORT              a free port on it; one is drawn for each start
#   PYTHON=python3    the interpreter, which has the same path on all hosts
#   SSH_OPTIONS       such as "-p 2222 -i key"
#   GRACE=120         seconds for the others to end, before they are killed
#
# Exported JAX_*, XLA_*, NCCL_*, TFDS_* and CUDA_* are passed on to the hosts.
set -u
here=$(cd "$(dirname "$0")" && pwd)
[ -n "${AGAIN_ATTEMPT-}" ] || exec "$here/again.sh" "$0" "$@"

fail() {
  echo "error: $*" >&2
  exit 2
}

if [ -n "${HOSTS_FILE-}" ]; then
  [ -r "$HOSTS_FILE" ] || fail "HOSTS_FILE=$HOSTS_FILE cannot be read"
  HOSTS=$(sed 's/#.*//' "$HOSTS_FILE" | awk '{ print $1 }')
fi
read -r -d '' -a hosts <<<"${HOSTS-}"
((${#hosts[@]})) ||
  fail 'which hosts? HOSTS="node0 node1" launch/hosts.sh --config=...'
for host in "${hosts[@]}"; do
  [[ $host =~ ^[A-Za-z0-9_][A-Za-z0-9._@-]*$ ]] ||
    fail "HOSTS: '$host' is no name of a host"
done
port=${PORT:-$((20000 + RANDOM % 10000))}
[[ $port =~ ^[0-9]+$ ]] || fail "PORT=$port is no number"
python=${PYTHON:-python3}
python=$(command -v "$python" || echo "$python")
grace=${GRACE:-120}
[[ $grace =~ ^[0-9]+$ ]] || fail "GRACE=$grace is no number of seconds"
read -r -a options <<<"${SSH_OPTIONS-}"
# A host that is gone is noticed within 30 seconds.
ssh=(ssh -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=10
  ${options[@]+"${options[@]}"})

settings=("PYTHONPATH=${here%/*}${PYTHONPATH:+:$PYTHONPATH}")
while read -r name; do
  case $name in
    JAX_* | XLA_* | NCCL_* | TFDS_* | CUDA_*) settings+=("$name=${!name}") ;;
  esac
done < <(compgen -e)

# shellcheck disable=SC2317 # it is sent to the hosts as text
# Runs on a host, where its input names signals for the command "$@", and ends
# when the connection does: without it nobody could stop the command.
serve() {
  local grace=$1 folder=$2 pid code
  shift 2
  cd "$folder" || exit 2
  set -m
  exec 3<&0
  "$@" </dev/null 3<&- &
  pid=$!
  (
    while read -r -u 3 signal; do kill -s "$signal" "$pid"; done
    kill -s TERM "$pid"
    sleep "$grace"
    kill -s KILL "$pid"
  ) >/dev/null 2>&1 &
  { wait "$pid"; } 2>/dev/null
  code=$?
  kill -s KILL -- "-$!" 2>/dev/null
  exit "$code"
}

# One host's words, quoted for the shell there.
on_host() {
  local words=(bash -c "$(declare -f serve)"$'\nserve "$@"' serve "$grace"
    "$PWD" "$@")
  printf '%s ' "${words[@]@Q}"
}

if ((AGAIN_ATTEMPT == 1)); then # later, a host that is missing may come back
  checks=()
  for host in "${hosts[@]}"; do
    "${ssh[@]}" -n "$host" "cd ${PWD@Q} && command -v ${python@Q}" \
      >/dev/null &
    checks+=($!)
  done
  for i in "${!hosts[@]}"; do
    wait "${checks[i]}" || fail "${hosts[i]} cannot be reached by" \
      "\`${ssh[*]} ${hosts[i]}\`, or has no folder $PWD or no $python there"
  done
fi

# A host that is gone makes the write fail.
tell() { for i in "${inputs[@]}"; do echo "$1" >&"$i"; done 2>/dev/null; }
inputs=() signalled=''
trap '' PIPE
trap 'signalled=INT; tell INT' INT
trap 'signalled=TERM; tell TERM' TERM

pipes=$(mktemp -d)
trap 'rm -rf "$pipes"' EXIT
pids=() codes=()
for i in "${!hosts[@]}"; do
  host=${hosts[i]}
  mkfifo "$pipes/$i"
  command=$(on_host env "${settings[@]}" "$python" -m resnet_jax.main \
    --coordinator="${COORDINATOR:-${hosts[0]#*@}}:$port" \
    --num_hosts="${#hosts[@]}" --host="$i" "$@")
  "${ssh[@]}" "$host" "$command" <"$pipes/$i" \
    > >(exec sed -u "s|^|$host: |") 2> >(exec sed -u "s|^|$host: |" >&2) &
  pids+=($!)
done
for i in "${!hosts[@]}"; do # not before, or each ssh would hold the others'
  exec {input}>"$pipes/$i"
  inputs+=("$input")
done
[ -z "$signalled" ] || tell "$signalled"

first='' since=0
while ((${#codes[@]} < ${#hosts[@]})); do
  sleep 0.5 &
  wait $!
  for i in "${!hosts[@]}"; do
    if [ -n "${codes[i]-}" ] || kill -0 "${pids[i]}" 2>/dev/null; then
      continue
    fi
    wait "${pids[i]}"
    codes[i]=$?
    ((codes[i] != 0)) || continue
    how="with exit code ${codes[i]}"
    ((codes[i] != 255)) || how='when the connection was lost'
    echo "hosts.sh: ${hosts[i]} ended $how" >&2
    [ -z "$first" ] || continue
    first=${codes[i]} since=$SECONDS
    # One that was signalled has told the others, who may still be saving.
    if [ -z "$signalled" ] && ((first != 130 && first != 143)); then
      tell TERM
    fi
  done
  if [ -n "$first" ] && ((SECONDS - since > grace)); then
    tell KILL
  fi
done

# An error that the user must mend is not mended by another start.
for code in "${codes[@]}"; do
  ((code != 2)) || exit 2
done
((${first:-0} != 255)) || exit 75
exit "${first:-0}"
