// The requests, and the objectives for their answers. Redirects are not followed, so only
// the server gets requests.
import { fail } from 'k6';
import http from 'k6/http';
import { Rate } from 'k6/metrics';

// STACK is a file with the output of `stack status -json`. BASE_URL and ADMIN_URLS,
// separated by commas, replace it.
const stack = __ENV.STACK ? JSON.parse(open(__ENV.STACK)) : { nodes: [] };

export const base = (__ENV.BASE_URL || stack.nginx || 'http://localhost:8080').replace(/\/$/, '');
export const admins = __ENV.ADMIN_URLS ? __ENV.ADMIN_URLS.split(',') : stack.nodes.map((n) => n.admin);

for (const url of [base, ...admins]) {
  const host = (/^https?:\/\/(\[[0-9a-f:]+\]|[^/:@\[\]]+)(:\d+)?(\/|$)/.exec(url) || [])[1];
  if (!host) {
    fail(`${url} is not an http or https URL`);
  }
  if (!/^(127(\.\d+){3}|localhost|\[::1\])$/.test(host) && __ENV.ALLOW_REMOTE !== 'yes') {
    fail(`${url} is another machine: set ALLOW_REMOTE=yes if you may load it`);
  }
}

export const redirectOK = new Rate('redirect_ok');
export const createOK = new Rate('create_ok');

// The service level objectives. Times include the network.
const p99 = Number(__ENV.P99_MS || 25);
export const objectives = {
  redirect_ok: ['rate>=0.9999'],
  create_ok: ['rate>=0.999'],
  'http_req_duration{kind:redirect}': [`p(99)<${p99}`],
};

// number reads a number from the environment.
export function number(name, byDefault) {
  const n = Number(__ENV[name] || byDefault);
  if (!(n > 0)) {
    fail(`${name} must be a number above zero`);
  }
  return n;
}

export const json = { 'Content-Type': 'application/json' };
if (__ENV.API_KEY) {
  json.Authorization = `Bearer ${__ENV.API_KEY}`;
}

// code is the alias of the nth seeded link, the same in every run.
export const code = (n) => `k6-${n.toString(36)}`;

// target is the target of the nth seeded link.
export const target = (n) => `https://example.com/k6/${n.toString(36)}`;

// redirect visits the nth link.
export function redirect(n) {
  const answer = http.get(`${base}/${code(n)}`, { redirects: 0, tags: { kind: 'redirect', name: '/:code' } });
  redirectOK.add(answer.status === 302 && answer.headers.Location === target(n));
}

// create creates a link under a minted code.
export function create() {
  const body = JSON.stringify({ url: `https://example.com/k6/new/${__VU}-${__ITER}` });
  const answer = http.post(`${base}/api/v1/links`, body, { headers: json, tags: { kind: 'create', name: '/api/v1/links' } });
  createOK.add(answer.status === 201);
}

// zipf returns a random link. Popular links are more frequent, by Zipf's law with the
// exponent 1. The formula is the distribution for large numbers of links.
export const zipf = (links) => Math.floor(Math.pow(links + 1, Math.random())) - 1;

// mix sends one request: one create for 50 redirects on average.
export function mix(links) {
  if (Math.random() < 1 / 51) {
    create();
  } else {
    redirect(zipf(links));
  }
}
