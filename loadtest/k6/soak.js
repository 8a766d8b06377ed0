// A long steady load. Memory and goroutines of each node must stay constant once warm.
import { fail } from 'k6';
import exec from 'k6/execution';
import http from 'k6/http';
import { Gauge } from 'k6/metrics';
import { admins, mix, number, objectives } from './target.js';
import { growth } from './growth.js';
import { seed } from './seed.js';
import { stats, summarize } from './summary.js';

const links = number('LINKS', 100000);
const seconds = number('SECONDS', 1800);

// Number of measurements: a third to warm up, and two thirds that are compared.
const looks = 60;

if (admins.length === 0) {
  fail('soak reads the admin listeners: ADMIN_URLS=http://127.0.0.1:9090,…');
}

const growths = { rss: new Gauge('rss_growth'), goroutines: new Gauge('goroutine_growth') };

export const options = {
  scenarios: {
    load: {
      executor: 'constant-arrival-rate',
      exec: 'load',
      rate: number('RATE', 200),
      duration: `${seconds}s`,
      preAllocatedVUs: 50,
      maxVUs: 500,
    },
    watch: {
      executor: 'constant-arrival-rate',
      exec: 'watch',
      rate: looks,
      timeUnit: `${seconds}s`,
      duration: `${seconds}s`,
      preAllocatedVUs: 1,
      maxVUs: 1,
    },
  },
  thresholds: { ...objectives, rss_growth: ['value<1.1'], goroutine_growth: ['value<1.1'] },
  setupTimeout: '5m',
  summaryTrendStats: stats,
};

export const setup = () => seed(links);

export function load() {
  mix(links);
}

const names = { rss: 'process_resident_memory_bytes', goroutines: 'go_goroutines' };
const seen = {}; // measured values, by node and metric

export function watch() {
  const worst = { rss: 0, goroutines: 0 };
  for (const admin of admins) {
    const answer = http.get(`${admin}/metrics`, { tags: { kind: 'watch', name: '/metrics' } });
    for (const [what, name] of Object.entries(names)) {
      const found = new RegExp(`^${name} (\\S+)$`, 'm').exec(answer.body || '');
      if (!found) {
        fail(`${admin}/metrics lacks ${name}: ${answer.status} ${answer.error}`);
      }
      const values = (seen[`${admin} ${what}`] ||= []);
      values.push(Number(found[1]));
      worst[what] = Math.max(worst[what], growth(values));
    }
  }
  if (exec.scenario.iterationInTest >= looks - 3) {
    growths.rss.add(worst.rss);
    growths.goroutines.add(worst.goroutines);
  }
}

export const handleSummary = summarize('soak');
