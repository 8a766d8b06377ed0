// Creates the links that a scenario visits, except those that an earlier run has created.
import { fail, sleep } from 'k6';
import http from 'k6/http';
import { base, code, json, target } from './target.js';

const perBatch = 1000;
const atOnce = 4;

// A node that has looked up a missing link may answer 404 for two more seconds.
const unknownFor = 2.1;

const there = (n) => http.get(`${base}/${code(n)}`, { redirects: 0, tags: { kind: 'seed', name: 'seed' } }).status === 302;

function batch(first, end) {
  const links = [];
  for (let n = first; n < end; n++) {
    links.push({ url: target(n), alias: code(n) });
  }
  return {
    method: 'POST',
    url: `${base}/api/v1/links/batch`,
    body: JSON.stringify({ links }),
    params: { headers: json, timeout: '60s', tags: { kind: 'seed', name: 'seed' } },
  };
}

// missing returns the first batch without its last link. Batches are created in order.
function missing(links) {
  let [low, high] = [0, Math.ceil(links / perBatch)];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (there(Math.min((middle + 1) * perBatch, links) - 1)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

export function seed(links) {
  let batches = [];
  // An interrupted run may lack some of the batches that it sent at the same time.
  const begun = missing(links);
  const resume = begun * perBatch >= links ? begun : Math.max(0, begun - atOnce);
  for (let first = resume * perBatch; first < links; first += perBatch) {
    batches.push(batch(first, Math.min(first + perBatch, links)));
    if (batches.length === atOnce || first + perBatch >= links) {
      for (const answer of http.batch(batches)) {
        hold(answer);
      }
      batches = [];
    }
  }
  if (resume * perBatch < links) {
    sleep(unknownFor);
  }
}

// hold stops the run if a link was not created and did not exist before.
function hold(answer) {
  if (answer.status === 429) {
    fail('the links cannot be created: the limit of creates is reached; set TERSE_LIMIT_CREATE_ANONYMOUS=off and TERSE_LIMIT_CREATE_TOTAL=off for the run');
  }
  if (answer.status !== 200) {
    fail(`the links cannot be created: ${answer.status} ${answer.error} ${answer.body}`);
  }
  const wrong = answer.json('results').find((r) => r.status !== 201 && r.status !== 409);
  if (wrong) {
    fail(`a link cannot be created: ${JSON.stringify(wrong)}`);
  }
}
