// A steady day: visits of a million links by Zipf's law, and one create for 50 redirects.
import { mix, number, objectives } from './target.js';
import { seed } from './seed.js';
import { stats, summarize } from './summary.js';

const links = number('LINKS', 1000000);

export const options = {
  scenarios: {
    load: {
      executor: 'constant-arrival-rate',
      rate: number('RATE', 500),
      duration: __ENV.DURATION || '1m',
      preAllocatedVUs: 50,
      maxVUs: 500,
    },
  },
  thresholds: objectives,
  setupTimeout: '15m',
  summaryTrendStats: stats,
};

export const setup = () => seed(links);

export default function () {
  mix(links);
}

export const handleSummary = summarize('load');
