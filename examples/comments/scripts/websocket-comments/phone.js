// A user's phone: one WebSocket connection with stock pusher-js, its subscriptions, and every
// event that it receives, each with its channel.

'use strict';

const { createHmac } = require('node:crypto');
const { generalHints, postAuthorization, preview } = require('./backend');
const { Failure, until } = require('./failure');
const { connectionHints } = require('./server');
const { config } = require('./settings');

async function connect(Pusher, person) {
  const pusher = new Pusher(config.key, {
    cluster: '',
    wsHost: config.host,
    wsPort: config.port,
    wssPort: config.port,
    wsPath: config.path,
    forceTLS: config.scheme === 'https',
    enabledTransports: config.scheme === 'https' ? ['ws', 'wss'] : ['ws'],
    channelAuthorization: { customHandler: (params, done) => authorize(person, params, done) },
  });
  person.pusher = pusher;
  person.seen = []; // {event, channel, data}, in order
  person.lost = ''; // how the connection ended, if it did
  pusher.connection.bind('message', (message) => {
    if (message.event.startsWith('pusher')) person.answer?.(message);
    else person.seen.push(message);
    person.look?.();
  });
  let refusal = '';
  pusher.connection.bind('error', ({ data, error }) => {
    const detail = data ?? error?.data;
    if (detail?.code) person.error = refusal = `${detail.code} ${detail.message ?? ''}`;
  });
  const problem = await until(
    (done) => {
      pusher.connection.bind('connected', () => {
        person.socketId ??= pusher.connection.socket_id;
        done(null);
      });
      for (const state of ['failed', 'disconnected']) pusher.connection.bind(state, () => done(`the server refused: ${refusal || state}`));
    },
    () => `no connection to ${config.server} ${refusal && `(${refusal})`}`.trim(),
  ).catch((late) => late);
  if (problem) throw new Failure(problem, await connectionHints(refusal));
  pusher.connection.bind('state_change', ({ current }) => {
    person.lost ||= `${current}${refusal && `, ${refusal}`}`;
  });
}

/** pusher-js's authorizer. A failure of the backend is kept, so that the server is not blamed for it. */
async function authorize(person, { socketId, channelName }, done) {
  try {
    const answer = await postAuthorization(person, channelName, socketId);
    if (answer.status === 200 && answer.body?.auth) return done(null, answer.body);
    throw new Failure(`${config.authPath} answered ${answer.status}: ${preview(answer.body)}`, generalHints(answer) ?? [
      'It answered 200 a moment ago: look into the backend\'s log.',
    ]);
  } catch (error) {
    person.unauthorized = error;
    return done(error, null);
  }
}

const LIMIT = ['A limit of the app in the server\'s configuration is reached: the message names it.'];

/** Subscribe; `hints` are those of a refusal. */
function join(person, name, hints) {
  const channel = person.pusher.subscribe(name);
  person[name] = channel;
  return until(
    (done, fail) => {
      channel.bind('pusher:subscription_succeeded', done);
      channel.bind('pusher:subscription_error', (error) => fail(person.unauthorized
        ? new Failure(`${person.letter} got no authorization for ${name}: ${person.unauthorized.message}`, person.unauthorized.hints)
        : new Failure(`${person.letter} was refused on ${name}: ${error.error ?? error.status ?? preview(error)}`, error.type === 'LimitReached' ? LIMIT : hints)));
    },
    () => (person.error
      ? new Failure(`${person.letter} was refused on ${name}: ${person.error}`, hints)
      : new Failure(`${person.letter} got no answer to the subscription of ${name}`, ['Does the server hang, or is this machine too slow for TIMEOUT? See the server\'s log.', ...hints])),
  );
}

/** The payload of a subscription: signed here if PUSHER_APP_SECRET is right, else by the backend; null if refused. */
async function subscription(person, channel) {
  const socketId = person.pusher.connection.socket_id;
  if (!/^(private|presence)-/.test(channel)) return { channel };
  if (person.signedAlike) {
    const channelData = channel.startsWith('presence-') ? JSON.stringify({ user_id: person.id }) : undefined;
    return { channel, auth: sign(socketId, channel, channelData), channel_data: channelData };
  }
  try {
    const { status, body } = await postAuthorization(person, channel, socketId);
    return status === 200 && body?.auth ? { channel, auth: body.auth, channel_data: body.channel_data } : null;
  } catch {
    return null; // no authorization, nothing to see there
  }
}

/** The "auth" of a subscription, as a backend with PUSHER_APP_SECRET signs it; null without it. */
function sign(socketId, channel, channelData) {
  if (!config.secret) return null;
  const text = [socketId, channel, channelData].filter((part) => part !== undefined).join(':');
  return `${config.key}:${createHmac('sha256', config.secret).update(text).digest('hex')}`;
}

/**
 * Subscribe to channels that events should not come on, as far as the backend and the server
 * allow. It goes past pusher-js's channels, so that the app's own are not touched.
 */
async function watch(person, names) {
  const open = new Set();
  const payloads = await Promise.all([...new Set(names)].map((channel) => subscription(person, channel)));
  for (const payload of payloads) {
    if (!payload || person.pusher.channel(payload.channel)) continue;
    open.add(payload.channel);
    person.pusher.send_event('pusher:subscribe', payload);
  }
  await until(
    (done) => {
      const settle = () => open.size === 0 && done();
      person.answer = ({ event, channel }) => {
        if (/subscription_(succeeded|error)$/.test(event) && open.delete(channel)) settle();
      };
      settle();
    },
    () => new Failure('late'),
    Math.min(config.timeout, 3000),
  ).catch(() => {}); // a server that refuses with pusher:error names no channel
  person.answer = null;
}

module.exports = { connect, join, sign, watch };
