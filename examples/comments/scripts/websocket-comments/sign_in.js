// The steps until both users listen: log in, CORS, connect, authenticate, join, presence.

'use strict';

const { canReadAuthorization, crossOriginProblem, expectStatus, postAuthorization, preview, request } = require('./backend');
const { nearChannels } = require('./channels');
const { Failure, until } = require('./failure');
const { connect, join, sign, watch } = require('./phone');
const { config, people, roles } = require('./settings');

const CLEAR = 'Then: php artisan config:clear (a cached configuration ignores .env), and php artisan queue:restart.';

async function stepLogIn() {
  for (const person of people) {
    if (!person.token) await logIn(person);
    const answer = await request('GET', config.userPath, person);
    expectStatus(answer, [200], `GET ${config.userPath} as ${person.letter}`, (status) => (status === 401
      ? ['Is the token valid? A token for tests: $user->createToken(\'test\')->plainTextToken in php artisan tinker (User needs HasApiTokens).']
      : ['USER_PATH: which path answers with the user of a token? (Laravel: /api/user of php artisan install:api.)']));
    const user = answer.body?.data ?? answer.body?.user ?? answer.body;
    person.id = String(user?.id ?? '');
    if (!person.id) throw new Failure(`GET ${config.userPath} answered no user with an id: ${preview(answer.body)}`, ['USER_PATH: which path answers with the user of a token?']);
    person.name = user?.name ?? person.email;
  }
  if (people[0].id === people[1].id) throw new Failure('A and B are the same user', ['Give two different users.']);
  return `A is ${people[0].name}, B is ${people[1].name}`;
}

async function logIn(person) {
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

/** Only with ORIGIN: what a browser asks the backend before it lets a page of that origin in. */
async function stepCrossOrigin() {
  const write = ['authorization', 'content-type', 'x-socket-id'];
  const calls = [
    ['POST', config.authPath, ['authorization', 'content-type']],
    ['POST', config.commentsPath, write],
    ...(config.onlyCreated ? [] : [['PUT', config.commentPath.replace('{comment}', '1'), write], ['DELETE', config.commentPath.replace('{comment}', '1'), write]]),
  ];
  for (const [method, path, headers] of calls) {
    const problem = await crossOriginProblem(method, path, headers);
    if (problem) throw new Failure(`a page of ${config.origin} may not ${method} ${path}`, crossOriginHints(problem, path));
  }
  if (!await canReadAuthorization(people[0])) {
    throw new Failure(`a page of ${config.origin} may not read what ${config.authPath} answers`, [
      'The preflight is right, but the answers to the requests themselves lack Access-Control-Allow-Origin: does a proxy add it to OPTIONS only?',
    ]);
  }
  return `pages of ${config.origin} may call the API and ${config.authPath}`;
}

const WHY = {
  'authorization': ' A browser takes "*" for all headers but this one: it must be named.',
  'x-socket-id': ' toOthers() reads it.',
};

function crossOriginHints({ kind, refused, origin, status }, path) {
  const clear = 'After a change: php artisan config:clear. Without config/cors.php: php artisan config:publish cors.';
  if (kind === 'headers') return [`config/cors.php: 'allowed_headers' lacks ${refused.join(', ')}.${WHY[refused[0]] ?? ''}`, clear];
  if (kind === 'origin') return [`config/cors.php: 'allowed_origins' has ${origin}, but not ${config.origin}.`, clear];
  if (kind === 'method') return ['config/cors.php: \'allowed_methods\' lacks this method.', clear];
  return [
    `config/cors.php: 'paths' must cover ${path.replace(/^\//, '')} (the preflight got ${status} and no CORS header), such as ['api/*', 'broadcasting/auth'].`,
    `config/cors.php: 'allowed_origins' must have ${config.origin}, or '*'.`,
    clear,
  ];
}

async function stepConnect(Pusher) {
  await Promise.all(people.map((person) => connect(Pusher, person)));
  return `both at ${config.server}, sockets ${people.map((person) => person.socketId).join(' and ')}`;
}

async function stepAuthenticate() {
  const channels = [config.privateChannel, config.presenceChannel];
  const answers = [];
  for (const person of people) {
    for (const channel of channels) answers.push({ person, channel, answer: await postAuthorization(person, channel, person.socketId) });
  }
  const refused = answers.filter(({ answer }) => answer.status === 403);
  for (const { person, channel, answer } of answers) {
    expectStatus(answer, [200], `${config.authPath} for ${person.letter} on ${channel}`, (status) => authHints(status, person, channel, refused, answers.length));
    expectSignature(answer.body);
    person.signedAlike = answer.body.auth === sign(person.socketId, channel, answer.body.channel_data);
  }
  return `${config.authPath} signs both channels for both users`;
}

function expectSignature(body) {
  const key = String(body?.auth ?? '').split(':')[0];
  if (!key) {
    throw new Failure(`${config.authPath} answered 200 without "auth": ${preview(body) || 'an empty body'}`, [
      'BROADCAST_CONNECTION (before Laravel 11 BROADCAST_DRIVER) must be pusher or reverb: log and null, the defaults, sign nothing and send nothing.',
      CLEAR,
    ]);
  }
  if (key !== config.key) {
    throw new Failure(`the backend signs with key "${key}", this script connects with "${config.key}"`, [
      'PUSHER_APP_KEY must be the same in the backend, in the app and in the server.',
      CLEAR,
    ]);
  }
}

function authHints(status, person, channel, refused, all) {
  if (status === 401) return [`Is ${config.authPath} behind the guard of the API (auth:sanctum), not another? See laravel/bootstrap.`, 'Does a proxy drop the Authorization header?'];
  if (status === 403) return refusalHints(person, channel, refused, all);
  if (status === 404) {
    return [
      'The route is not registered. Laravel 11 and newer: withBroadcasting() in bootstrap/app.php. Laravel 10: BroadcastServiceProvider, enabled in config/app.php.',
      'AUTH_PATH: /api/broadcasting/auth when the route has the prefix "api" (php artisan route:list --path=broadcasting).',
    ];
  }
  return ['See the backend\'s log.'];
}

/** A 403 says no reason: the pattern over both users and both channels tells most of it. */
function refusalHints(person, channel, refused, all) {
  const name = channel.replace(/^(private|presence)-/, '');
  if (refused.length === all) {
    return [
      'Everybody is refused on every channel: is the route behind auth:sanctum? In the "web" group the bearer token is not read, and Laravel answers 403 to nobody. See laravel/bootstrap.',
      'Or no rule is loaded: does php artisan channel:list show both channels of routes/channels.php?',
    ];
  }
  const both = refused.filter((entry) => entry.channel === channel).length === 2;
  if (both) {
    return [
      `Both users are refused on ${channel}: does php artisan channel:list show a rule for ${name}? It belongs into routes/channels.php.`,
      'Does the rule find the session and return true (or the member) for its participants? SESSION_ID: do both take part in it?',
    ];
  }
  return [
    `Only ${person.letter} is refused: does ${person.name} take part in session ${config.session}?`,
    `routes/channels.php: what does the rule for ${name} return for this user?`,
  ];
}

function joinHints(person) {
  const compared = person.signedAlike
    ? 'PUSHER_APP_SECRET: the backend signs with the one given here, so the server has another one for this key.'
    : 'PUSHER_APP_SECRET: the backend signs with another one than that given here.';
  return [
    ...(config.secret ? [compared] : []),
    'PUSHER_APP_SECRET: the backend signs with it and the server checks it: it must be the same on both sides.',
    CLEAR,
  ];
}

async function stepJoin() {
  await Promise.all(people.map((person) => join(person, config.privateChannel, joinHints(person))));
  return `both on ${config.privateChannel}`;
}

async function stepPresence() {
  await Promise.all(people.map((person) => join(person, config.presenceChannel, joinHints(person))));
  await Promise.all(people.map((person) => expectMembers(person)));
  // Where an event ends up when its channel is not the right one.
  await watch(roles().listener, nearChannels(people));
  return `both see ${people.map(({ name }) => name).join(' and ')} on ${config.presenceChannel}`;
}

/** Wait until both are members, and look at what an app shows of them. */
async function expectMembers(person) {
  await seeBoth(person);
  const { members } = person[config.presenceChannel];
  const bare = people.find(({ id }) => !isDetailed(members.get(id).info));
  if (!bare) return;
  throw new Failure(`${person.letter} sees ${JSON.stringify(members.get(bare.id).info) ?? 'nothing'} in place of ${bare.name}`, [
    `routes/channels.php: the rule for ${config.presence} must return the member, such as ['id' => $user->id, 'name' => $user->name], not true.`,
  ]);
}

/** Text is enough; true, as a rule may return it, is not. */
const isDetailed = (info) => (typeof info === 'string' ? info !== '' : Object.keys(Object(info)).length > 0);

function seeBoth(person) {
  const { members } = person[config.presenceChannel];
  const missing = () => people.filter(({ id }) => !members.get(id));
  return until(
    (done) => {
      const look = () => missing().length === 0 && done();
      person[config.presenceChannel].bind('pusher:member_added', look);
      look();
    },
    () => new Failure(`${person.letter} does not see ${missing().map(({ name }) => name).join(', ')}`, [
      `routes/channels.php: the rule for ${config.presence} must return the member, such as ['id' => $user->id, 'name' => $user->name].`,
      'Is the presence user_id the user\'s own id (getAuthIdentifierForBroadcasting)?',
    ]),
  );
}

module.exports = { stepAuthenticate, stepConnect, stepCrossOrigin, stepJoin, stepLogIn, stepPresence };
