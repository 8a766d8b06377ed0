// A long steady load: memory and goroutines of each node stay what they are once warm.
import { fail } from 'k6';
import exec from 'k6/execution';
import http from 'k6/http';
import { Gauge } from 'k6/metrics';
import { admins, mix, number, objectives } from './target.js';
import { seed } from './seed.js';
import { stats, summarize } from './summary.js';

const links = number('LINKS', 100000);
const seconds = number('SECONDS', 1800);

// Each look is one of so many: a third to get warm, a third to learn what is normal, a
// third that must not be above it.
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
  thresholds: { ...objectives, rss_growth: ['value<1.2'], goroutine_growth: ['value<1.2'] },
  setupTimeout: '5m',
  summaryTrendStats: stats,
};

export const setup = () => seed(links);

export function load() {
  mix(links);
}

const names = { rss: 'process_resident_memory_bytes', goroutines: 'go_goroutines' };
const normal = {}; // the most of the second third, by node and metric
const late = {}; // the least of the last third: a peak is no growth

export function watch() {
  const look = exec.scenario.iterationInTest;
  if (look < looks / 3) {
    return;
  }
  const worst = { rss: 0, goroutines: 0 };
  for (const admin of admins) {
    const answer = http.get(`${admin}/metrics`, { tags: { kind: 'watch', name: '/metrics' } });
    for (const [what, name] of Object.entries(names)) {
      const found = new RegExp(`^${name} (\\S+)$`, 'm').exec(answer.body || '');
      if (!found) {
        fail(`${admin}/metrics lacks ${name}: ${answer.status} ${answer.error}`);
      }
      const value = Number(found[1]);
      const key = `${admin} ${what}`;
      if (look < (2 * looks) / 3) {
        normal[key] = Math.max(normal[key] || 0, value);
      } else {
        late[key] = Math.min(late[key] || Infinity, value);
        worst[what] = Math.max(worst[what], late[key] / normal[key]);
      }
    }
  }
  if (look >= (2 * looks) / 3) {
    growths.rss.add(worst.rss);
    growths.goroutines.add(worst.goroutines);
  }
}

export const handleSummary = summarize('soak');
