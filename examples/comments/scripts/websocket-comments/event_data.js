// What an event carries: the comment, in the form in which the app looks for it.

'use strict';

const { isDeepStrictEqual } = require('node:util');
const { parse, preview } = require('./backend');
const { Failure } = require('./failure');
const { config } = require('./settings');

/** Names of fields in which a comment is often wrapped. */
const WRAPPING = /comment|data|message|model|payload|resource/i;

const hasId = (value) => value?.id !== undefined;

/** The comment in an API's answer, whether or not the backend wraps it (Laravel's resources: "data"). */
function resourceOf(body) {
  return [body, body?.data, body?.comment].find(hasId) ?? body;
}

/** The data of an event: {comment, field, encoded}; `field` is '' when the data is the comment itself. */
function unpack(data) {
  const encoded = typeof data === 'string';
  const body = encoded ? parse(data) : data;
  const fields = ['', ...Object.keys(Object(body)).filter((name) => WRAPPING.test(name))];
  const at = (field) => (field ? body?.[field] : body);
  const field = [config.eventField, ...fields].find((name) => hasId(at(name)));
  return field === undefined ? { comment: body, field: '', encoded } : { comment: at(field), field, encoded };
}

/** Whether an event is about the comment with this id, wherever in the data it stands. */
const carries = (message, id) => String(unpack(message.data).comment?.id) === String(id);

/**
 * Raise a Failure unless an app finds in the event what the API says. `comment`: {id, resource, before}:
 * the answer of the API, null after a deletion, and the one before an edit.
 */
function expectData(message, className, { id, resource, before }) {
  const { comment: received, field, encoded } = unpack(message.data);
  if (encoded) {
    throw new Failure(`the data of ${message.event} is a text that holds JSON: it was encoded twice`, [
      `broadcastWith() of ${className} must return an array, without json_encode(): see laravel/app/Events.`,
    ]);
  }
  if (field !== config.eventField) throw new Failure(`the data of ${message.event} has the comment ${placeOf(field)}`, placeHints(field, className));
  if (resource && !isDeepStrictEqual(received, resource)) {
    throw new Failure(`the event's data is not the API's: ${differences(resource, received)}`, [
      ...(isOld(received, resource, before) ? [`${className} has the text of before the edit: broadcast it after the comment is saved, and not at its creation (an observer's saved() runs then, too).`] : []),
      'broadcastWith() must return what the API resource returns: see laravel/app/Events.',
    ]);
  }
  if (received.id !== id) {
    throw new Failure(`the id in ${message.event} is ${JSON.stringify(received.id)}, in the API's answer ${JSON.stringify(id)}`, [
      `An app that compares them finds no comment. ${className} must take the id from the model ($comment->getKey()), not from the route.`,
    ]);
  }
}

const placeOf = (field) => (field ? `in the field "${field}"` : `itself, not in the field "${config.eventField}"`);

function placeHints(field, className) {
  if (!field) return [`EVENT_FIELD: does the app read event.${config.eventField}? Then broadcastWith() of ${className} must return it so.`];
  return [
    `${className} needs public function broadcastWith() that returns the comment's array: without it Laravel sends the public properties.`,
    `Does your app read event.${field}? Then it is right: EVENT_FIELD=${field}`,
  ];
}

function isOld(received, resource, before) {
  const text = (comment) => comment?.[config.contentField];
  return before && text(received) === text(before) && text(before) !== text(resource);
}

function differences(wanted, got) {
  const keys = new Set([...Object.keys(wanted ?? {}), ...Object.keys(got ?? {})]);
  const lines = [...keys]
    .filter((key) => !isDeepStrictEqual(wanted?.[key], got?.[key]))
    .map((key) => `${key}: API ${preview(wanted?.[key]) || 'has none'}, event ${preview(got?.[key]) || 'has none'}`);
  return lines.join('; ');
}

module.exports = { carries, expectData, resourceOf, unpack };
