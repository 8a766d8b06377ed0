// The growth of a value that is measured from time to time.

// growth returns the value at the end as a multiple of the value at the start. It assumes
// that the value grows all the time as it did from the middle third to the last third. It
// compares medians, so that a peak that ends is not growth.
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
