// A link on television: 100 times the mean rate within a second, for a while, and back. The
// default is 1000/s, which two cores can serve beside k6 and the whole stack.
import { mix, number, objectives } from './target.js';
import { seed } from './seed.js';
import { stats, summarize } from './summary.js';

const links = number('LINKS', 100000);
const mean = number('MEAN', 10);
const spike = 100 * mean;
const phase = __ENV.PHASE || '15s';

export const options = {
  scenarios: {
    spike: {
      executor: 'ramping-arrival-rate',
      startRate: mean,
      stages: [
        { duration: phase, target: mean },
        { duration: '1s', target: spike },
        { duration: phase, target: spike },
        { duration: '1s', target: mean },
        { duration: phase, target: mean },
      ],
      preAllocatedVUs: 200,
      maxVUs: 1000,
    },
  },
  thresholds: objectives,
  setupTimeout: '5m',
  summaryTrendStats: stats,
};

export const setup = () => seed(links);

export default function () {
  mix(links);
}

export const handleSummary = summarize('spike');
