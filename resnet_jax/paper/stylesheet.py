"""The look of the HTML page: sober, light and dark, from a phone to paper."""

# Contrasts are at least 4.5:1 on both grounds (WCAG AA). What a color says, the
# words or the weight say, too.
STYLESHEET = """\
:root {
  color-scheme: light dark;
  --ground: #ffffff;
  --raised: #f4f5f7;
  --text: #1b1d21;
  --muted: #575d66;
  --rule: #d5d9df;
  --strong-rule: #6b727c;
  --link: #0a55a8;
  --shade: rgb(0 0 0 / 20%);
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --ground: #14161a;
    --raised: #1e2127;
    --text: #e5e7ea;
    --muted: #a4abb5;
    --rule: #343942;
    --strong-rule: #8b929c;
    --link: #8ab8f2;
    --shade: rgb(255 255 255 / 20%);
  }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto;
  padding: 1.5rem 1rem 4rem;
  max-width: 48rem;
  background: var(--ground);
  color: var(--text);
  font: 1rem/1.55 system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans',
    'Liberation Sans', Arial, sans-serif;
  overflow-wrap: break-word;
}
h1, h2 { line-height: 1.25; text-wrap: balance; }
h1 { margin: 0 0 0.75rem; font-size: 1.75rem; }
h2 { margin: 0 0 0.5rem; font-size: 1.3rem; }
p { margin: 0 0 1rem; max-width: 44rem; }
.lead { font-size: 1.1rem; }
a { color: var(--link); text-underline-offset: 0.15em; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }

dl {
  margin: 1.25rem 0 0;
  padding: 0.75rem 0;
  border: solid var(--rule);
  border-width: 1px 0;
  font-size: 0.875rem;
}
dl div { display: flex; gap: 1rem; padding: 0.15rem 0; }
dt { flex: 0 0 7rem; color: var(--muted); }
dd { flex: 1; min-width: 0; margin: 0; overflow-wrap: anywhere; }

nav { margin-top: 2rem; font-size: 0.925rem; line-height: 1.4; }
nav h2 { font-size: 1rem; }
nav ol { margin: 0; padding: 0; list-style: none; }
nav li { padding: 0.35rem 0; }
nav a { text-decoration: none; }
nav a:hover { text-decoration: underline; }
.state { display: block; color: var(--muted); font-size: 0.8125rem; }

section { padding-top: 3rem; }
.label {
  width: fit-content;
  padding: 0.05rem 0.5rem;
  border: 1px solid var(--strong-rule);
  border-radius: 0.25rem;
  font-size: 0.8125rem;
  line-height: 1.45;
}

code, pre {
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas,
    'Liberation Mono', monospace;
}
code { font-size: 0.875em; overflow-wrap: anywhere; }
pre {
  margin: 0 0 1rem;
  padding: 0.6rem 0.8rem;
  border-left: 3px solid var(--strong-rule);
  background: var(--raised);
  line-height: 1.5;
  white-space: pre-wrap;
}
/* One click selects a command whole. */
pre code { display: block; -webkit-user-select: all; user-select: all; }
pre span { display: inline-block; max-width: 100%; word-break: break-all; }

/* Only a table that is too wide scrolls sideways, and only in its own box. Its
   right edge is shaded until the end is in sight. */
.scroll {
  container-type: inline-size;
  margin: 1.5rem 0 0.75rem;
  overflow-x: auto;
  background:
    linear-gradient(var(--ground), var(--ground))
      right / 2rem 100% no-repeat local,
    linear-gradient(to left, var(--shade), transparent)
      right / 0.75rem 100% no-repeat scroll;
}
table {
  border-collapse: collapse;
  font-size: 0.925rem;
  line-height: 1.4;
  font-variant-numeric: tabular-nums lining-nums;
}
small { display: inline-block; color: var(--muted); font-size: 0.875em; }
caption { padding: 0 0 0.5rem; text-align: left; }
/* The caption stays in sight while its table scrolls. */
caption span:first-child {
  display: block;
  position: sticky;
  left: 0;
  width: fit-content;
  max-width: min(100cqi, 44rem);
}
thead { border: solid var(--strong-rule); border-width: 2px 0 1px; }
tbody { border-bottom: 2px solid var(--strong-rule); }
tbody tr + tr { border-top: 1px solid var(--rule); }
th, td {
  padding: 0.35rem 0.75rem;
  text-align: left;
  vertical-align: top;
  overflow-wrap: normal;
}
thead th { vertical-align: bottom; font-weight: 600; }
tbody th {
  min-width: 6rem;
  max-width: 16rem;
  font-weight: 400;
}
tr > :first-child {
  position: sticky;
  left: 0;
  padding-left: 0;
  background: var(--ground);
}
tr > :last-child { padding-right: 0.25rem; }
.short, td.number { white-space: nowrap; }
.number { text-align: right; }
.ours { font-weight: 600; }
.missing, .difference { color: var(--muted); }
.note { margin-bottom: 0.5rem; color: var(--muted); font-size: 0.875rem; }

figure { margin: 1.5rem 0; }
/* Wide figures take the margins of a phone, too, whatever their own style. */
figure svg {
  display: block;
  max-width: calc(100% + 1.5rem) !important;
  height: auto;
  margin: 0 -0.75rem;
}
figcaption { margin-top: 0.5rem; max-width: 44rem; font-size: 0.925rem; }

@media (max-width: 47.999rem) {
  th, td { padding: 0.35rem 0.6rem; }
  /* A border or a shadow would not stay with the column. */
  tr > :first-child {
    background: linear-gradient(to left, var(--rule) 1px, var(--ground) 1px);
  }
}

@media (min-width: 72rem) {
  body {
    display: grid;
    grid-template: auto 1fr / 15rem minmax(0, 60rem);
    column-gap: 4rem;
    max-width: 81rem;
    padding-top: 3rem;
  }
  header, main { grid-column: 2; }
  nav {
    grid-area: 1 / 1 / 3 / 2;
    align-self: start;
    position: sticky;
    top: 0;
    max-height: 100vh;
    margin: 0;
    padding: 0.5rem 0 2rem;
    overflow-y: auto;
  }
  h1 { font-size: 2.1rem; }
  .scroll, figure { margin-top: 2rem; }
  figure svg { max-width: 100% !important; margin: 0; }
}

@media print {
  :root { color-scheme: light; }
  body { display: block; max-width: none; padding: 0; font-size: 10pt; }
  nav { position: static; max-height: none; }
  section { padding-top: 1.5rem; }
  h2, .label, caption { break-after: avoid; }
  pre, figure, tr { break-inside: avoid; }
  thead { display: table-header-group; }
  .scroll { container-type: normal; overflow: visible; background: none; }
  figure svg { max-width: 100% !important; margin: 0; }
  caption span:first-child, tr > :first-child { position: static; }
}
"""
