// The summary of a run: for people on stdout, and for programs in the file SUMMARY.

const ms = (v) => (v === undefined ? '-' : `${v.toFixed(1)} ms`);
const percent = (v) => `${(100 * v).toFixed(3)} %`;

function times(metric) {
  const v = metric.values;
  return `median ${ms(v.med)}, p99 ${ms(v['p(99)'])}, at most ${ms(v.max)}`;
}

// lines returns the measured values.
function lines(m) {
  const all = [];
  const say = (what, figure) => all.push([what, figure]);
  if (m.http_reqs) {
    say('requests', `${m.http_reqs.values.count}, ${m.http_reqs.values.rate.toFixed(0)}/s with the seed`);
  }
  for (const kind of ['redirect', 'create']) {
    const ok = m[`${kind}_ok`];
    if (ok) {
      say(`${kind}s`, `${ok.values.passes + ok.values.fails}, ${percent(ok.values.rate)} correct`);
    }
    const took = m[`http_req_duration{kind:${kind}}`];
    if (took) {
      say(`time of a ${kind}`, times(took));
    }
  }
  if (m.dropped_iterations) {
    say('not sent, no free VU', `${m.dropped_iterations.values.count}`);
  }
  for (const [name, what] of [['rss_growth', 'memory'], ['goroutine_growth', 'goroutines']]) {
    if (m[name]) {
      say(`${what} at the end`, `${m[name].values.value.toFixed(2)} times the beginning, at most`);
    }
  }
  return all;
}

// verdicts returns which objectives were met.
function verdicts(m) {
  const all = [];
  for (const name of Object.keys(m).sort()) {
    for (const [rule, t] of Object.entries(m[name].thresholds || {})) {
      if (!rule.endsWith('>=0')) {
        all.push([`${name} ${rule}`, t.ok ? 'met' : 'MISSED']);
      }
    }
  }
  return all;
}

function table(rows) {
  const width = Math.max(0, ...rows.map((r) => r[0].length));
  return rows.map(([what, figure]) => `  ${what.padEnd(width)}  ${figure}\n`).join('');
}

// summarize returns a handleSummary. more returns extra lines of a scenario.
export function summarize(scenario, more = () => []) {
  return (data) => {
    const m = data.metrics;
    const out = { stdout: `\n${scenario}\n${table([...lines(m), ...more(m)])}\nobjectives\n${table(verdicts(m))}\n` };
    if (__ENV.SUMMARY) {
      out[__ENV.SUMMARY] = JSON.stringify({ scenario, metrics: m });
    }
    return out;
  };
}

export const stats = ['med', 'avg', 'p(99)', 'max'];
