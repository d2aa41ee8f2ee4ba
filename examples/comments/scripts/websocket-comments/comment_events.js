// The steps of a comment: one user writes it through the API, the other one receives its events.

'use strict';

const { expectStatus, preview, request } = require('./backend');
const { commentChannels, commentsId, farChannels, isForParticipants } = require('./channels');
const diagnosis = require('./diagnosis');
const { carries, expectData, resourceOf } = require('./event_data');
const { Failure, until } = require('./failure');
const { watch } = require('./phone');
const { readCounters } = require('./server');
const { config, roles } = require('./settings');

let author = null;
let listener = null;
const NAMES = ['comment.created', 'comment.updated', 'comment.deleted'];
/** `since`: how much the listener had received when the last request was sent. */
const comment = { id: null, resource: null, before: null, alive: false, since: 0 };
let counters = null; // of the server, before the first comment

async function stepCreate() {
  ({ author, listener } = roles());
  counters = await readCounters().catch((error) => {
    throw new Failure(`METRICS_URL: ${error.cause?.message || error.message}`, ['Is it the operations port of pusher-server, with /metrics? METRICS_TOKEN: its operations.token.']);
  });
  await createComment();
  if (String(comment.id) === config.session) await replaceComment();
  return `comment ${comment.id} of ${author.letter} saved, the API answered ${comment.status}`;
}

/** A channel with the comment's id would be the session's: take the next comment. */
async function replaceComment() {
  const first = pathOf(comment);
  await createComment();
  if (!config.onlyCreated) await request('DELETE', first, author, undefined, author.socketId);
}

async function createComment() {
  const content = `WebSocket test ${new Date().toISOString()} é ✓ "quoted" a/b`;
  comment.since = listener.seen.length;
  const answer = await request('POST', config.commentsPath, author, { ...config.commentBody, [config.contentField]: content }, author.socketId);
  expectStatus(answer, [200, 201], `POST ${config.commentsPath}`, writeHints);
  comment.status = answer.status;
  comment.resource = resourceOf(answer.body);
  comment.id = comment.resource?.id;
  if (comment.id === undefined) throw new Failure(`the API answered no comment id: ${preview(answer.body)}`, ['COMMENTS_PATH: does it answer the new comment?']);
  comment.alive = true;
}

async function stepCreated() {
  return expectEvent('comment.created');
}

async function stepUpdated() {
  await watch(listener, commentsId(comment.id));
  comment.since = listener.seen.length;
  const answer = await request('PUT', pathOf(comment), author, { [config.contentField]: 'WebSocket test, edited' }, author.socketId);
  expectStatus(answer, [200], `PUT ${config.commentPath}`, writeHints);
  comment.before = comment.resource;
  comment.resource = resourceOf(answer.body);
  return expectEvent('comment.updated');
}

async function stepDeleted() {
  await deleteComment();
  comment.resource = null;
  return expectEvent('comment.deleted');
}

async function deleteComment() {
  comment.since = listener.seen.length;
  const answer = await request('DELETE', pathOf(comment), author, undefined, author.socketId);
  expectStatus(answer, [200, 202, 204], `DELETE ${config.commentPath}`, writeHints);
  comment.alive = false;
}

const pathOf = ({ id }) => config.commentPath.replace('{comment}', id);

function writeHints(status) {
  if (status === 401) return ['Is the token still valid, and does a proxy pass the Authorization header on?'];
  if (status === 403) return [`May ${author.name} write in this session (policy)?`];
  if (status === 404) return ['COMMENTS_PATH, COMMENT_PATH, SESSION_ID: are they right?'];
  if (status === 405) return ['COMMENTS_PATH, COMMENT_PATH: is this method routed there (php artisan route:list)?'];
  if (status === 419) return ['The route is in the "web" group and wants a CSRF token: an API for phones belongs into routes/api.php.'];
  if (status === 422) return ['CONTENT_FIELD, COMMENT_BODY: which fields does the API want?'];
  return ['See the backend\'s log.'];
}

/** {text, late}: what the listener received; `late` are hints when it took too long. Raises a Failure. */
async function expectEvent(name) {
  const started = Date.now();
  const find = () => lately().find((message) => diagnosis.isRight(message, name, comment.id));
  const missed = await until(
    (done) => {
      listener.look = () => find() && done(false);
      listener.look();
    },
    () => true,
    config.eventTimeout,
  ).catch((late) => late);
  if (missed) throw new Failure(`${listener.letter} received no ${name} on ${config.privateChannel} within ${config.eventTimeout / 1000} s`, await diagnose(name));
  expectData(find(), diagnosis.classOf(name), comment);
  const duration = Date.now() - started;
  const text = `${listener.letter} received ${name} after ${duration} ms${comment.resource ? ', with the data of the API' : ''}`;
  return { text, late: duration > config.slow ? diagnosis.lateHints : null };
}

/** What the listener has received since the last request was sent: an event that came before is not its. */
const lately = () => listener.seen.slice(comment.since);

/** Hints for an event that did not come. */
async function diagnose(name) {
  const ids = Object.fromEntries([author, listener].map(({ letter, id }) => [`${letter}'s user id`, id]));
  const id = comment.id;
  const look = () => [...diagnosis.evidence(lately(), name, id, ids), ...diagnosis.mistakenName(lately(), name, id)];
  let hints = listener.lost ? diagnosis.lostHints(listener) : look();
  if (!hints.length) hints = await waitForMore(name, ids);
  const after = await readCounters().catch(() => null);
  if (!hints.length) hints = diagnosis.refusalHints(counters, after);
  if (!hints.length && otherEvent(name, id)) hints = diagnosis.onlyThisEvent(name, otherEvent(name, id));
  if (!hints.length) hints = diagnosis.counterHints(counters, after, name) ?? diagnosis.frequentCauses(name);
  return hints;
}

/** Delete the test comment, if a step failed before its turn and the backend has deletions. */
async function cleanUp() {
  if (comment.alive && !config.onlyCreated) await deleteComment().catch(() => {});
}

/** Another event of this comment that did arrive where it should; undefined if there is none. */
function otherEvent(name, id) {
  const others = NAMES.filter((other) => other !== name);
  return others.find((other) => listener.seen.some((message) => diagnosis.isRight(message, other, id)));
}

/** Make one more event while the listener watches many wrong channels: hints from it, or from the first one if it is only late. */
async function waitForMore(name, ids) {
  const id = comment.id;
  const again = await makeOneMore(name);
  const arrived = (event, of) => listener.seen.some((message) => diagnosis.isRight(message, event, of));
  const late = () => arrived(name, id);
  const astray = () => (again ? diagnosis.evidence(lately(), again, comment.id, ids) : []);
  await until((done) => {
    listener.look = () => (late() || (again && arrived(again, comment.id)) || astray().length) && done();
    listener.look();
  }, () => null, config.eventTimeout).catch(() => {});
  if (late()) return [`${name} did come, but after more than ${config.eventTimeout / 1000} s.`, ...diagnosis.lateHints];
  return astray().map((hint) => (again === name ? hint : `${hint} The same in ${diagnosis.classOf(name)}.`));
}

/** Name of the event that should follow; null if there is nothing more to do with the comment. */
async function makeOneMore(name) {
  if (name === 'comment.deleted') return null;
  const next = config.onlyCreated && Number.isInteger(comment.id) ? [1, 2, 3].map((step) => comment.id + step) : [];
  await watch(listener, [...commentChannels([comment.id, ...next]), ...farChannels()]);
  try {
    await (config.onlyCreated ? createComment() : deleteComment());
  } catch {
    return null;
  }
  return config.onlyCreated ? 'comment.created' : 'comment.deleted';
}

async function stepNoEcho() {
  await new Promise((resolve) => setTimeout(resolve, config.quiet));
  if (author.lost) throw new Failure(`${author.letter} could not receive the own events`, diagnosis.lostHints(author));
  const names = config.onlyCreated ? NAMES.slice(0, 1) : NAMES;
  const ours = (person) => person.seen.filter((message) => carries(message, comment.id));
  const own = ours(author).find(({ event }) => names.some((name) => diagnosis.looksLike(event, name)));
  if (own) {
    throw new Failure(`${author.letter} received the own ${own.event}: it would appear twice`, [
      'The controller needs broadcast(…)->toOthers().',
      'The event needs the trait InteractsWithSockets: without it toOthers() does nothing, and says nothing.',
      'The app must send the header X-Socket-ID with each request (Echo does it for axios, not for fetch); this script does.',
      'CORS, for an app in a browser: is X-Socket-ID an allowed header? ORIGIN lets this script try it.',
    ]);
  }
  for (const name of names) {
    const times = ours(listener).filter(({ event, channel }) => event === name && channel === config.privateChannel).length;
    if (times > 1) throw new Failure(`${listener.letter} received ${name} ${times} times`, ['Is the event dispatched twice: in the controller and in an observer?']);
    const open = ours(listener).find(({ event, channel }) => diagnosis.looksLike(event, name) && !isForParticipants(channel));
    if (open) {
      throw new Failure(`${open.event} went to ${open.channel} as well: not only the session's participants receive it`, [
        `broadcastOn() must return new PrivateChannel('${config.channel}') alone, without ${open.channel}.`,
      ]);
    }
  }
  return `${author.letter} received none of the own events, ${listener.letter} each one once`;
}

module.exports = { cleanUp, stepCreate, stepCreated, stepDeleted, stepNoEcho, stepUpdated };
