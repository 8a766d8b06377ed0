// Compares growth with series of known growth.
import { check } from 'k6';
import { growth } from '../growth.js';

export const options = { thresholds: { checks: ['rate==1'] } };

const noise = (i) => 1 + 0.03 * Math.sin(2 * i); // up and down by 3 %
const series = (value) => Array.from({ length: 60 }, (_, i) => 1e8 * value(i));

export default function () {
  for (const [name, values, least, most] of [
    ['flat', series(() => 1), 1, 1],
    ['noise', series(noise), 0.92, 1.08],
    ['a peak near the end', series((i) => noise(i) * (i > 50 && i < 55 ? 3 : 1)), 0.92, 1.08],
    ['warming up', series((i) => noise(i) * Math.min(1, 0.2 + i / 20)), 0.92, 1.08],
    ['a leak of 15 %', series((i) => noise(i) * (1 + (0.15 * i) / 60)), 1.1, 1.25],
    ['a leak that doubles', series((i) => noise(i) * (1 + i / 60)), 1.5, 2],
  ]) {
    const got = growth(values);
    check(got, { [`${name}: ${got} is in ${least}…${most}`]: (n) => n >= least && n <= most });
  }
}
