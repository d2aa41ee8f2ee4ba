// A step that did not hold, and waiting for one that may.

'use strict';

const { config } = require('./settings');

/** A step that did not hold: what was seen, and what to check, in this order. */
class Failure extends Error {
  constructor(message, hints = []) {
    super(message);
    this.hints = hints;
  }
}

/** Resolve when `watch` calls done; reject with its failure, or with `late()` after `patience` ms. */
function until(watch, late, patience = config.timeout) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(late()), patience);
    const settle = (how) => (value) => {
      clearTimeout(timer);
      how(value);
    };
    watch(settle(resolve), settle(reject));
  });
}

module.exports = { Failure, until };
