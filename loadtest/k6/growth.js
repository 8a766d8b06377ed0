// How much something that is looked at from time to time grows.

// growth returns how many times as much as at first it would be by the end, were it to
// grow over all looks as it did from the middle third to the last. Medians of both leave
// peaks out: what is let go of again is no growth.
export function growth(values) {
  const third = Math.floor(values.length / 3);
  const before = median(values.slice(third, 2 * third));
  const after = median(values.slice(2 * third));
  return 1 + 3 * (after / before - 1);
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}
