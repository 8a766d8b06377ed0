// A quick check that everything works: a few requests of each kind.
import { create, number, objectives, redirect } from './target.js';
import { seed } from './seed.js';
import { stats, summarize } from './summary.js';

const links = 10;

export const options = {
  vus: 1,
  iterations: number('ITERATIONS', 50),
  thresholds: objectives,
  summaryTrendStats: stats,
};

export const setup = () => seed(links);

export default function () {
  create();
  redirect(__ITER % links);
}

export const handleSummary = summarize('smoke');
