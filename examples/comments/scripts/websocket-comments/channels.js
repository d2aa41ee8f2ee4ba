// Channels on which events should not come: where to look for them, and which line of PHP sends
// them there.

'use strict';

const { config } = require('./settings');

const CLASSES = {
  '': 'new Channel, or a plain string: public, everybody may listen',
  'presence-': 'new PresenceChannel',
  'private-encrypted-': 'new EncryptedPrivateChannel',
  'private-': 'new PrivateChannel',
};
const PREFIX = /^(private-encrypted-|private-|presence-)?/;

function split(channel) {
  const prefix = PREFIX.exec(channel)[0];
  return { prefix, name: channel.slice(prefix.length) };
}

/** Whether only participants of the session may listen there, as on the right channel. */
function isForParticipants(channel) {
  const { prefix, name } = split(channel);
  return name === config.channel && prefix !== '';
}

function variants(names, prefixes) {
  const channels = names.flatMap((name) => prefixes.map((prefix) => prefix + name));
  return [...new Set(channels)].filter((channel) => channel !== config.privateChannel);
}

const named = (id) => config.channelTemplate.replace('{session}', id);

/**
 * The right name with another class, and with the id of a user: looked at in every run. A name
 * with two prefixes only with the secret: no backend signs for it.
 */
function nearChannels(people) {
  return [
    ...variants([config.channel], ['', 'presence-', 'private-encrypted-', ...(config.secret ? ['private-private-'] : [])]),
    ...variants(people.map(({ id }) => named(id)), ['', 'private-']),
  ];
}

/** Channels with the comment's id in place of the session's: looked at once it is known. */
const commentsId = (id) => variants([named(id)], ['', 'private-']);

/** The same and more for several ids: looked at once an event is missing. */
function commentChannels(ids) {
  return variants(ids.flatMap((id) => [named(id), `comment.${id}`, `comments.${id}`]), ['', 'private-', 'presence-']);
}

/** Names that are wrong in other ways: looked at once an event is missing. */
function farChannels() {
  const near = [-2, -1, 1, 2].map((step) => Number(config.session) + step).filter((id) => id >= 0);
  const word = config.channelTemplate.split(/[.\-_:]?\{session\}/)[0];
  const names = [
    ...near.map(named),
    ...['-', '_', ''].map((sign) => `${word}${sign}${config.session}`),
    `${word}s.${config.session}`, `comments.${config.session}`, `comment.${config.session}`, `chat.${config.session}`,
    word, named(''), 'comments', config.presence,
  ];
  return variants(names.filter(Boolean), ['', 'private-', 'presence-']);
}

/** One hint: what is wrong with the channel on which an event came. `ids`: {name: id}. */
function channelHint(event, className, channel, ids) {
  const right = `broadcastOn() of ${className} must return new PrivateChannel('${config.channel}')`;
  if (channel === config.presenceChannel) return `${event} went to the presence channel, ${channel}: ${right}.`;
  const { prefix, name } = split(channel);
  if (name === config.channel) return `${event} went to ${channel} (${CLASSES[prefix]}): ${right}.`;
  if (split(name).prefix) return `${event} went to ${channel}: the name in PHP stands without "${split(name).prefix}", Laravel adds it: ${right}.`;
  const start = named('');
  const id = start && name.startsWith(start) ? name.slice(start.length) : null;
  const kind = prefix === 'private-' ? '' : ` (${CLASSES[prefix]})`;
  if (id === '') return `${event} went to ${channel}${kind}, without an id: is $comment->session_id set when the event is made? ${right}.`;
  if (id !== null) {
    const owners = Object.entries(ids).filter(([, value]) => String(value) === id).map(([owner]) => owner);
    return `${event} went to ${channel}${kind}: ${id} is not the session's id${owners.length ? `, but ${owners.join(' or ')}` : ''}. Use 'session.'.$comment->session_id: ${right}.`;
  }
  return `${event} went to ${channel}${kind}: ${right}.`;
}

module.exports = { channelHint, commentChannels, commentsId, farChannels, isForParticipants, nearChannels };
