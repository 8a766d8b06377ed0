// The rate rises step by step to find the knee: the highest rate at which the objectives
// are met and every request is sent.
import { mix, number, objectives } from './target.js';
import { seed } from './seed.js';
import { stats, summarize } from './summary.js';

const links = number('LINKS', 100000);
const first = number('RATE', 500);
const factor = number('FACTOR', 1.4);
const steps = number('STEPS', 10);
const seconds = number('SECONDS', 10);

const rates = Array.from({ length: steps }, (_, i) => Math.round(first * Math.pow(factor, i)));
const name = (i) => `step${i + 1}`;
const took = (i) => `http_req_duration{kind:redirect,scenario:${name(i)}}`;
const fine = (i) => `redirect_ok{scenario:${name(i)}}`;
const dropped = (i) => `dropped_iterations{scenario:${name(i)}}`;

const scenarios = {};
const thresholds = {}; // always met: they only make k6 report each step separately
rates.forEach((rate, i) => {
  scenarios[name(i)] = {
    executor: 'constant-arrival-rate',
    rate,
    startTime: `${i * seconds}s`,
    duration: `${seconds}s`,
    gracefulStop: '1s',
    preAllocatedVUs: 200, // k6 creates a VU too slowly for a step that needs one
    maxVUs: 500,
  };
  thresholds[took(i)] = ['p(99)>=0'];
  thresholds[fine(i)] = ['rate>=0'];
  thresholds[dropped(i)] = ['count>=0'];
});

export const options = { scenarios, thresholds, setupTimeout: '5m', summaryTrendStats: stats };

export const setup = () => seed(links);

export default function () {
  mix(links);
}

const p99 = Number(/<(.*)/.exec(objectives['http_req_duration{kind:redirect}'][0])[1]);

function knee(m) {
  const rows = [];
  let best = 0;
  let past = false;
  rates.forEach((rate, i) => {
    const slow = m[took(i)] ? m[took(i)].values['p(99)'] : Infinity;
    const ok = m[fine(i)] ? m[fine(i)].values.rate : 0;
    const missing = m[dropped(i)] ? m[dropped(i)].values.count : 0;
    past = past || slow >= p99 || ok < 0.9999 || missing > 0;
    if (!past) {
      best = rate;
    }
    const verdict = past ? ', past the knee' : '';
    rows.push([`${rate}/s`, `p99 ${slow.toFixed(1)} ms, ${(100 * ok).toFixed(3)} % correct, ${missing} not sent${verdict}`]);
  });
  rows.push(['the knee', best ? `${best}/s` : 'below the first step']);
  return rows;
}

export const handleSummary = summarize('stress', knee);
