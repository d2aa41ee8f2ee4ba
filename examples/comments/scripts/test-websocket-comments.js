#!/usr/bin/env node
// Validates the whole way of a comment, for two users on one session:
//
//     phone A → REST API → database → broadcast event → WebSocket server → phone B
//
// Works against the stand-in backend of this example and, by environment variables (--help),
// against a real Laravel backend. Exit status 0: every step holds. 1: a step failed, and its
// hint says what to check first. 2: this script cannot run.

'use strict';

const { isDeepStrictEqual } = require('node:util');

const HELP = `Usage: node scripts/test-websocket-comments.js

Logs in two users, connects both, creates, edits and deletes a comment as the first,
and checks that the second sees it live, with the data of the API, and the first does not.

Set by environment variables (in brackets: the default, which is the stand-in backend):

  API_URL            base URL of the backend                       [http://127.0.0.1:8000]
  SESSION_ID         session in which both users take part         [1]

  Who they are: ready bearer tokens, or credentials for the login path
  TOKEN_A, TOKEN_B   bearer tokens; then nobody logs in
  EMAIL_A, EMAIL_B   [amina@example.com, bruno@example.com]
  PASSWORD_A, PASSWORD_B                                           [password]
  LOGIN_PATH         gets {email, password, device_name}, answers
                     {token} or {access_token}                     [/api/login]
  USER_PATH          who a token belongs to                        [/api/user]

  COMMENTS_PATH      POST creates a comment here                   [/api/sessions/{session}/comments]
  COMMENT_PATH       PUT edits it here, DELETE deletes it          [/api/comments/{comment}]
  CONTENT_FIELD      the field that holds the text                 [content]
  COMMENT_BODY       more fields for creating, as JSON             [{}]
  ONLY_CREATED       1: phase 1 only, leave out edit and delete; the
                     test comment then stays in the session        [0]

  AUTH_PATH          channel authorization                         [/broadcasting/auth]
  CHANNEL            private channel, without "private-"           [session.{session}]
  PRESENCE_CHANNEL   presence channel, without "presence-"         [online-users]

  PUSHER_APP_KEY     as in Laravel's .env                          [app-key]
  PUSHER_HOST        WebSocket server, as seen from here           [127.0.0.1]
  PUSHER_PORT                                                      [6001]
  PUSHER_SCHEME      http or https                                 [http]

  TIMEOUT            seconds that each step may take               [10]
  QUIET              seconds to watch for events that must not come [1]

Needs Node 18 or newer and pusher-js: "npm install" in the folder above this one.`;

const setting = (name, fallback) => process.env[name] || fallback;
const session = setting('SESSION_ID', '1');
const config = {
  api: setting('API_URL', 'http://127.0.0.1:8000').replace(/\/+$/, ''),
  loginPath: setting('LOGIN_PATH', '/api/login'),
  userPath: setting('USER_PATH', '/api/user'),
  commentsPath: setting('COMMENTS_PATH', '/api/sessions/{session}/comments').replace('{session}', session),
  commentPath: setting('COMMENT_PATH', '/api/comments/{comment}').replace('{session}', session),
  contentField: setting('CONTENT_FIELD', 'content'),
  commentBody: setting('COMMENT_BODY', '{}'),
  onlyCreated: setting('ONLY_CREATED', '0') === '1',
  authPath: setting('AUTH_PATH', '/broadcasting/auth'),
  channel: setting('CHANNEL', 'session.{session}').replace('{session}', session),
  presence: setting('PRESENCE_CHANNEL', 'online-users'),
  key: setting('PUSHER_APP_KEY', 'app-key'),
  host: setting('PUSHER_HOST', '127.0.0.1'),
  port: Number(setting('PUSHER_PORT', '6001')),
  scheme: setting('PUSHER_SCHEME', 'http'),
  timeout: Number(setting('TIMEOUT', '10')) * 1000,
  quiet: Number(setting('QUIET', '1')) * 1000,
};
const people = [
  { letter: 'A', email: setting('EMAIL_A', 'amina@example.com'), password: setting('PASSWORD_A', 'password'), token: process.env.TOKEN_A },
  { letter: 'B', email: setting('EMAIL_B', 'bruno@example.com'), password: setting('PASSWORD_B', 'password'), token: process.env.TOKEN_B },
];
const server = `${config.scheme}://${config.host}:${config.port}`;
const privateChannel = `private-${config.channel}`;
const presenceChannel = `presence-${config.presence}`;

/** A step that did not hold: what was seen, and what to check, in this order. */
class Failure extends Error {
  constructor(message, hints = []) {
    super(message);
    this.hints = hints;
  }
}

// ---- The checklist -------------------------------------------------------------------------

async function stepLogIn() {
  for (const person of people) {
    if (!person.token) {
      const { email, password } = person;
      const answer = await request('POST', config.loginPath, null, { email, password, device_name: 'test-websocket-comments' });
      expectStatus(answer, [200, 201], `login of ${email}`, [
        'EMAIL_A, PASSWORD_A, EMAIL_B, PASSWORD_B: do these users exist there?',
        'LOGIN_PATH: or give ready tokens in TOKEN_A and TOKEN_B.',
      ]);
      const body = answer.body?.data ?? answer.body;
      person.token = body?.token ?? body?.access_token ?? body?.plainTextToken;
      if (!person.token) throw new Failure(`login of ${email} answered no token`, ['Give ready tokens in TOKEN_A and TOKEN_B.']);
    }
    const answer = await request('GET', config.userPath, person);
    expectStatus(answer, [200], `GET ${config.userPath} as ${person.letter}`, ['Is the token still valid? Is USER_PATH right?']);
    const user = answer.body?.data ?? answer.body?.user ?? answer.body;
    person.id = String(user?.id ?? '');
    person.name = user?.name ?? person.email;
  }
  if (people[0].id === people[1].id) throw new Failure('A and B are the same user', ['Give two different users.']);
  return `A is ${people[0].name}, B is ${people[1].name}`;
}

async function stepConnect(Pusher) {
  await Promise.all(people.map((person) => connect(Pusher, person)));
  return `both at ${server}, sockets ${people.map((person) => person.socketId).join(' and ')}`;
}

function connect(Pusher, person) {
  const pusher = new Pusher(config.key, {
    cluster: '',
    wsHost: config.host,
    wsPort: config.port,
    wssPort: config.port,
    forceTLS: config.scheme === 'https',
    enabledTransports: config.scheme === 'https' ? ['ws', 'wss'] : ['ws'],
    channelAuthorization: { customHandler: (params, done) => authorize(person, params, done) },
  });
  person.pusher = pusher;
  person.seen = []; // every event on every channel, for the checks and for the hints
  pusher.bind_global((event, data) => {
    if (event.startsWith('pusher')) return;
    person.seen.push({ event, data });
    person.look?.();
  });
  let refusal = '';
  pusher.connection.bind('error', ({ data, error }) => {
    const told = data ?? error?.data;
    if (told?.code) refusal = `${told.code} ${told.message ?? ''}`;
  });
  return until(
    (done, fail) => {
      pusher.connection.bind('connected', () => {
        person.socketId = pusher.connection.socket_id;
        done();
      });
      for (const state of ['failed', 'disconnected']) {
        pusher.connection.bind(state, () => fail(new Failure(`the server refused: ${refusal || state}`, connectionHints(refusal))));
      }
    },
    () => new Failure(`no connection to ${server} ${refusal && `(${refusal})`}`.trim(), connectionHints(refusal)),
  );
}

function connectionHints(refusal) {
  if (/^4001|^4003/.test(refusal)) return ['PUSHER_APP_KEY: it must be the key of an enabled app in the server\'s configuration.'];
  return [
    `Does the server run? Try: curl -i ${server}/up`,
    'PUSHER_HOST, PUSHER_PORT, PUSHER_SCHEME: are they right as seen from this machine?',
    'Behind a proxy: does it pass the WebSocket upgrade on?',
    'Restricted origins: allow this client, or run the script from an allowed one.',
  ];
}

async function stepAuthenticate() {
  for (const person of people) {
    for (const channel of [privateChannel, presenceChannel]) {
      const answer = await postAuthorization(person, channel, person.socketId);
      expectStatus(answer, [200], `${config.authPath} for ${person.letter} on ${channel}`, authHints(answer.status, channel));
      const key = String(answer.body?.auth ?? '').split(':')[0];
      if (!key) throw new Failure(`${config.authPath} answered 200 without "auth": ${preview(answer.body)}`, [
        'BROADCAST_CONNECTION (before Laravel 11 BROADCAST_DRIVER) must be pusher: log and null sign nothing.',
        'Then: php artisan config:clear',
      ]);
      if (key !== config.key) throw new Failure(`the backend signs with key "${key}", this script connects with "${config.key}"`, [
        'PUSHER_APP_KEY must be the same in the backend, in the app and in the server.',
        'After a change in .env: php artisan config:clear',
      ]);
    }
  }
  return `${config.authPath} signs both channels for both users`;
}

function authHints(status, channel) {
  switch (status) {
    case 401: return [`Is ${config.authPath} behind the guard of the API (auth:sanctum), not "web"? See laravel/bootstrap.`];
    case 403: return [
      `routes/channels.php: is there a rule for ${channel.replace(/^(private|presence)-/, '')}, and does it return true (or the member) for this user?`,
      'Do both users take part in SESSION_ID?',
      'Laravel answers 403 to nobody as well: is the route behind auth:sanctum? See laravel/bootstrap.',
    ];
    case 404: return ['Laravel 11 and newer: withBroadcasting() in bootstrap/app.php. Laravel 10: BroadcastServiceProvider, enabled in config/app.php.', 'AUTH_PATH: /api/broadcasting/auth when the route has the prefix "api".'];
    case 419: return ['The route is in the "web" group and wants a CSRF token: put it behind auth:sanctum. See laravel/bootstrap.'];
    case 302: return ['Redirected to the login page: put the route behind auth:sanctum. See laravel/bootstrap.'];
    default: return ['See the backend\'s log.'];
  }
}

async function stepJoin() {
  await Promise.all(people.map((person) => join(person, privateChannel)));
  // Where an event ends up when PrivateChannel was forgotten; only watched to give a better hint.
  people[1].pusher.subscribe(config.channel);
  return `both on ${privateChannel}`;
}

function join(person, name) {
  const channel = person.pusher.subscribe(name);
  person[name] = channel;
  return until(
    (done, fail) => {
      channel.bind('pusher:subscription_succeeded', done);
      channel.bind('pusher:subscription_error', (error) => fail(new Failure(`${person.letter} was refused on ${name}: ${error.error ?? error.status}`, joinHints)));
    },
    () => new Failure(`${person.letter} got no answer to the subscription of ${name}`, joinHints),
  );
}

const joinHints = [
  'PUSHER_APP_SECRET: the backend signs with it and the server checks it: it must be the same on both sides.',
  'After a change in .env: php artisan config:clear, and restart the workers.',
];

async function stepPresence() {
  await Promise.all(people.map((person) => join(person, presenceChannel)));
  await Promise.all(people.map((person) => expectMembers(person)));
  return `both see ${people.map(({ name }) => name).join(' and ')} on ${presenceChannel}`;
}

function expectMembers(person) {
  const { members } = person[presenceChannel];
  const missing = () => people.filter(({ id }) => !members.get(id));
  return until(
    (done) => {
      const look = () => missing().length === 0 && done();
      person[presenceChannel].bind('pusher:member_added', look);
      look();
    },
    () => new Failure(`${person.letter} does not see ${missing().map(({ name }) => name).join(', ')}`, [
      `routes/channels.php: the rule for ${config.presence} must return the member, such as ['id' => $user->id, 'name' => $user->name].`,
      'Is the presence user_id the user\'s own id (getAuthIdentifierForBroadcasting)?',
    ]),
  );
}

const comment = { id: null, resource: null };
const author = people[0];
const listener = people[1];

async function stepCreate() {
  const content = `WebSocket test ${new Date().toISOString()} é ✓ "quoted" a/b`;
  const answer = await request('POST', config.commentsPath, author, { ...JSON.parse(config.commentBody), [config.contentField]: content }, true);
  expectStatus(answer, [200, 201], `POST ${config.commentsPath}`, writeHints(answer.status));
  comment.resource = resourceOf(answer.body);
  comment.id = comment.resource?.id;
  if (comment.id === undefined) throw new Failure(`the API answered no comment id: ${preview(answer.body)}`, ['COMMENTS_PATH: does it answer the new comment?']);
  return `comment ${comment.id} saved, the API answered ${answer.status}`;
}

async function stepCreated() {
  return expectEvent('comment.created');
}

async function stepUpdated() {
  const answer = await request('PUT', config.commentPath.replace('{comment}', comment.id), author, { [config.contentField]: 'WebSocket test, edited' }, true);
  expectStatus(answer, [200], `PUT ${config.commentPath}`, writeHints(answer.status));
  comment.resource = resourceOf(answer.body);
  return expectEvent('comment.updated');
}

async function stepDeleted() {
  const answer = await request('DELETE', config.commentPath.replace('{comment}', comment.id), author, undefined, true);
  expectStatus(answer, [200, 202, 204], `DELETE ${config.commentPath}`, writeHints(answer.status));
  comment.resource = null;
  return expectEvent('comment.deleted');
}

async function expectEvent(name) {
  const started = Date.now();
  const find = () => listener.seen.find(({ event, data }) => event === name && String(resourceOf(data)?.id) === String(comment.id));
  await until(
    (done) => {
      listener.look = () => find() && done();
      listener.look();
    },
    () => new Failure(`B received no ${name} within ${config.timeout / 1000} s`, eventHints(name)),
  );
  const received = resourceOf(find().data);
  if (comment.resource && !isDeepStrictEqual(received, comment.resource)) {
    throw new Failure(`the event's data is not the API's: ${differences(comment.resource, received)}`, [
      'broadcastWith() must return what the API resource returns: see laravel/app/Events.',
    ]);
  }
  return `B received ${name} after ${Date.now() - started} ms${comment.resource ? ', with the data of the API' : ''}`;
}

/** What else B saw often tells what is wrong; otherwise the order in which to look. */
function eventHints(name) {
  const action = name.split('.')[1];
  const className = `Comment${action[0].toUpperCase()}${action.slice(1)}`;
  const other = listener.seen.find(({ event }) => event.endsWith(className));
  if (other) return [`An event "${other.event}" did arrive: add broadcastAs() { return '${name}'; } to the event class.`];
  const stray = listener.seen.find(({ event, data }) => event === name && String(resourceOf(data)?.id) !== String(comment.id));
  if (stray) return [`A ${name} arrived, but without this comment's id: ${preview(stray.data)}. See broadcastWith().`];
  return [
    'Is a queue worker running? php artisan queue:work (ShouldBroadcast events are queued; restart it after changes in code).',
    'BROADCAST_CONNECTION=pusher (before Laravel 11: BROADCAST_DRIVER), then php artisan config:clear.',
    'Can the backend reach the server? PUSHER_HOST, PUSHER_PORT, PUSHER_SCHEME, as seen from PHP. See php artisan queue:failed and the log.',
    `Is the event dispatched? The controller needs: broadcast(new ${className}($comment))->toOthers();`,
    `Is its channel new PrivateChannel('${config.channel}')? ("private-" is added by itself.)`,
  ];
}

async function stepNoEcho() {
  await new Promise((resolve) => setTimeout(resolve, config.quiet));
  const own = author.seen.find(({ event }) => /comment\.?(created|updated|deleted)$/i.test(event));
  if (own) {
    throw new Failure(`A received the own ${own.event}: it would appear twice`, [
      'The app must send the header X-Socket-ID with each request (Echo does it for axios, not for fetch).',
      'The controller needs broadcast(…)->toOthers(), and the event the trait InteractsWithSockets.',
      'CORS: is X-Socket-ID an allowed header?',
    ]);
  }
  const twice = listener.seen.filter(({ event }) => event === 'comment.created').length;
  if (twice > 1) throw new Failure(`B received comment.created ${twice} times`, ['Is the event dispatched twice: in the controller and in an observer?']);
  return `A received none of the own events, B each one once`;
}

function writeHints(status) {
  if (status === 403) return ['May A write in this session (policy)?'];
  if (status === 404) return ['COMMENTS_PATH, COMMENT_PATH, SESSION_ID: are they right?'];
  if (status === 422) return ['CONTENT_FIELD, COMMENT_BODY: which fields does the API want?'];
  if (status >= 500) return ['See the backend\'s log. With QUEUE_CONNECTION=sync a broadcast that fails becomes a 500.'];
  return ['See the backend\'s log.'];
}

// ---- HTTP ----------------------------------------------------------------------------------

async function request(method, path, person, body, asAuthor = false) {
  const headers = { Accept: 'application/json' };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (person) headers.Authorization = `Bearer ${person.token}`;
  if (asAuthor) headers['X-Socket-ID'] = author.socketId; // what toOthers() leaves out
  return send(method, path, headers, body === undefined ? undefined : JSON.stringify(body));
}

function postAuthorization(person, channel, socketId) {
  const headers = {
    Accept: 'application/json',
    Authorization: `Bearer ${person.token}`,
    'Content-Type': 'application/x-www-form-urlencoded',
  };
  return send('POST', config.authPath, headers, new URLSearchParams({ socket_id: socketId, channel_name: channel }).toString());
}

async function authorize(person, { socketId, channelName }, done) {
  try {
    const { status, body } = await postAuthorization(person, channelName, socketId);
    if (status === 200 && body?.auth) done(null, body);
    else done(new Error(`${config.authPath} answered ${status}`), null);
  } catch (error) {
    done(error, null);
  }
}

async function send(method, path, headers, body) {
  const url = path.startsWith('http') ? path : config.api + path;
  try {
    const response = await fetch(url, { method, headers, body, redirect: 'manual', signal: AbortSignal.timeout(config.timeout) });
    const text = await response.text();
    return { status: response.status, body: parse(text) };
  } catch (error) {
    throw new Failure(`${method} ${url}: ${error.cause?.message || error.message}`, [
      'Does the backend run? The stand-in: python examples/comments/backend',
      'API_URL: is it right as seen from this machine?',
    ]);
  }
}

function expectStatus(answer, wanted, what, hints) {
  if (!wanted.includes(answer.status)) throw new Failure(`${what} answered ${answer.status}: ${preview(answer.body)}`, hints);
}

// ---- Small things --------------------------------------------------------------------------

/** Resolve when `watch` calls done; reject with its failure, or with `late()` after the time-out. */
function until(watch, late) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(late()), config.timeout);
    const settle = (how) => (value) => {
      clearTimeout(timer);
      how(value);
    };
    watch(settle(resolve), settle(reject));
  });
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The comment itself, whether or not the backend wraps it (Laravel's resources: "data"). */
function resourceOf(value) {
  const body = typeof value === 'string' ? parse(value) : value;
  return body?.data ?? body?.comment ?? body;
}

function preview(value) {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return (text ?? '').replace(/\s+/g, ' ').slice(0, 200);
}

function differences(wanted, got) {
  const keys = new Set([...Object.keys(wanted ?? {}), ...Object.keys(got ?? {})]);
  const lines = [...keys]
    .filter((key) => !isDeepStrictEqual(wanted?.[key], got?.[key]))
    .map((key) => `${key}: API ${preview(wanted?.[key]) || 'has none'}, event ${preview(got?.[key]) || 'has none'}`);
  return lines.join('; ');
}

// ---- Running -------------------------------------------------------------------------------

function loadPusher() {
  try {
    const loaded = require('pusher-js');
    return loaded.default ?? loaded;
  } catch {
    console.error('pusher-js is not installed: run "npm install" in the folder above this script (or set NODE_PATH).');
    process.exit(2);
  }
}

async function main() {
  if (process.argv.includes('--help') || process.argv.includes('-h')) return console.log(HELP);
  const Pusher = loadPusher();
  const steps = [
    ['API: log in', stepLogIn],
    ['WebSocket: connect', () => stepConnect(Pusher)],
    ['WebSocket: authenticate', stepAuthenticate],
    ['WebSocket: join the session', stepJoin],
    ['WebSocket: presence', stepPresence],
    ['API: create a comment', stepCreate],
    ['Event: comment.created', stepCreated],
    ...(config.onlyCreated ? [] : [['Event: comment.updated', stepUpdated], ['Event: comment.deleted', stepDeleted]]),
    ['No duplicates', stepNoEcho],
  ];
  console.log(`Comments in real time: API ${config.api}, WebSocket ${server}, session ${session}\n`);
  let failed = false;
  for (const [title, step] of steps) {
    const label = title.padEnd(29);
    if (failed) {
      console.log(`  – ${label}not tried`);
      continue;
    }
    try {
      console.log(`  ✓ ${label}${await step()}`);
    } catch (error) {
      failed = true;
      console.log(`  ✗ ${label}${error.message}`);
      (error.hints ?? []).forEach((hint, index) => console.log(`      ${index ? '     ' : 'check'} ${index + 1}. ${hint}`));
      if (!(error instanceof Failure)) console.log(error.stack);
    }
  }
  console.log(failed ? '\nFailed.' : '\nAll steps hold: comments arrive in real time.');
  people.forEach((person) => person.pusher?.disconnect());
  process.exit(failed ? 1 : 0);
}

main();
