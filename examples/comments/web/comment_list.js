// The comments on the screen. Everything is keyed by id, so that the same comment arriving twice
// (from the API's answer, an event, a catch-up) is one bubble, never two.

import { paintAvatar } from './avatar.js';

const TIME = new Intl.DateTimeFormat([], { hour: '2-digit', minute: '2-digit' });
const DAY = new Intl.DateTimeFormat([], { weekday: 'long', day: 'numeric', month: 'long' });
const GROUP_MILLISECONDS = 5 * 60_000;
const NEAR_BOTTOM_PIXELS = 80;

export class CommentList {
  #me;
  #on;
  #comments = new Map(); // id -> comment, with `deleted` once it is gone
  #pending = new Map(); // key -> own comment that the API has not confirmed
  #rows = new Map(); // key -> li
  #catchUps = new Set(); // for each catch-up on its way: the ids that changed meanwhile
  #nextKey = 1;
  #atBottom = true;

  /** `on`: { retry(pendingComment), actions(comment) } */
  constructor(elements, me, on) {
    Object.assign(this, elements); // list, scroll, empty, newer, template
    this.#me = me;
    this.#on = on;
    this.newer.addEventListener('click', () => this.#toBottom());
    this.scroll.addEventListener('scroll', () => {
      this.#atBottom = this.#nearBottom();
      if (this.#atBottom) this.newer.hidden = true;
    });
    // The keyboard comes up, or the text grows: whoever read the newest comment still does.
    new ResizeObserver(() => this.#atBottom && this.#toBottom()).observe(this.scroll);
  }

  /** Take over the API's list. What changed here since `load` was called is newer: it stays. */
  async catchUp(load) {
    const changed = new Set();
    this.#catchUps.add(changed);
    try {
      const fresh = new Map((await load()).map((comment) => [comment.id, comment]));
      for (const [id, comment] of this.#comments) {
        if (!fresh.has(id) && !changed.has(id)) this.#comments.set(id, { ...comment, deleted: true });
      }
      for (const [id, comment] of fresh) {
        if (!changed.has(id) && !this.#isOld(comment)) this.#comments.set(id, comment);
      }
    } finally {
      this.#catchUps.delete(changed);
    }
    this.#render();
  }

  put(comment) {
    if (this.#isOld(comment)) return;
    this.#touch(comment.id);
    this.#comments.set(comment.id, comment);
    this.#render();
  }

  markDeleted(id) {
    this.#touch(id);
    const known = this.#comments.get(id);
    if (known) this.#comments.set(id, { ...known, deleted: true });
    this.#render();
  }

  /** Show an own comment at once. Returns it, for `confirm` or `fail`. */
  addPending(content) {
    const comment = {
      key: `pending-${this.#nextKey++}`,
      content,
      user: this.#me,
      created_at: new Date().toISOString(),
      state: 'sending',
    };
    this.#pending.set(comment.key, comment);
    this.#render();
    this.#toBottom();
    return comment;
  }

  /** The API answered: the same bubble becomes the real comment. */
  confirm(pending, comment) {
    this.#pending.delete(pending.key);
    const row = this.#rows.get(pending.key);
    if (row && !this.#rows.has(String(comment.id))) {
      this.#rows.delete(pending.key);
      this.#rows.set(String(comment.id), row);
    }
    this.put(comment);
    this.#render();
  }

  setState(pending, state) {
    pending.state = state;
    this.#render();
  }

  #isOld(comment) {
    const known = this.#comments.get(comment.id);
    return Boolean(known?.deleted) || known?.updated_at > comment.updated_at;
  }

  #touch(id) {
    this.#catchUps.forEach((changed) => changed.add(id));
  }

  #render() {
    const stick = this.#atBottom;
    const known = new Set(this.#rows.keys());
    const items = this.#items();
    const wanted = new Set(items.map((item) => item.key));
    for (const [key, row] of this.#rows) {
      if (!wanted.has(key)) {
        row.remove();
        this.#rows.delete(key);
      }
    }
    let added = 0;
    items.forEach((item, index) => {
      const row = this.#rows.get(item.key) ?? this.#newRow(item);
      if (item.comment) this.#fill(row, item.comment, items[index - 1], items[index + 1]);
      if (this.list.children[index] !== row) {
        this.list.insertBefore(row, this.list.children[index] ?? null);
      }
      if (!known.has(item.key)) {
        row.classList.toggle('arriving', known.size > 0);
        added += 1;
      }
    });
    this.empty.hidden = items.length > 0;
    if (stick) this.#toBottom();
    else if (added) this.newer.hidden = false;
  }

  /** Comments by id, then what is still being sent, with a line wherever a new day begins. */
  #items() {
    const comments = [...this.#comments.values()].sort((a, b) => a.id - b.id);
    const items = [];
    let day = '';
    for (const comment of [...comments, ...this.#pending.values()]) {
      const date = new Date(comment.created_at).toDateString();
      if (date !== day) items.push({ key: `day-${date}`, day: date });
      day = date;
      items.push({ key: comment.key ?? String(comment.id), comment });
    }
    return items;
  }

  #newRow(item) {
    let row;
    if (item.day) {
      row = document.createElement('li');
      row.className = 'day';
      const today = item.day === new Date().toDateString();
      row.textContent = today ? 'Today' : DAY.format(new Date(item.day));
    } else {
      row = this.template.content.firstElementChild.cloneNode(true);
    }
    this.#rows.set(item.key, row);
    return row;
  }

  #fill(row, comment, before, after) {
    const part = (name) => row.querySelector(`.${name}`);
    const mine = comment.user.id === this.#me.id;
    const state = comment.deleted ? 'deleted' : (comment.state ?? 'sent');
    row.dataset.id = comment.id ?? '';
    row.dataset.state = state;
    row.classList.toggle('mine', mine);
    row.classList.toggle('continued', belongTogether(before?.comment, comment));
    row.classList.toggle('followed', belongTogether(comment, after?.comment));
    paintAvatar(part('avatar'), comment.user);
    part('author').textContent = comment.user.name;
    setText(part('content'), comment.deleted ? 'This comment was deleted' : comment.content);
    const time = row.querySelector('time');
    time.dateTime = comment.created_at;
    time.textContent = TIME.format(new Date(comment.created_at));
    setText(part('state'), stateWords(comment, state, mine));
    part('retry').hidden = state !== 'failed';
    part('retry').onclick = () => this.#on.retry(comment);
    const more = part('more');
    more.hidden = !mine || state !== 'sent';
    more.setAttribute('aria-label', `Edit or delete: ${comment.content.slice(0, 60)}`);
    more.onclick = () => this.#on.actions(comment);
  }

  #nearBottom() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroll;
    return scrollHeight - scrollTop - clientHeight < NEAR_BOTTOM_PIXELS;
  }

  #toBottom() {
    this.scroll.scrollTop = this.scroll.scrollHeight;
    this.#atBottom = true;
    this.newer.hidden = true;
  }
}

function stateWords(comment, state, mine) {
  if (state === 'deleted' || state === 'failed') return '';
  if (state === 'sending') return '· sending…';
  const edited = comment.updated_at !== comment.created_at ? '· edited' : '';
  return mine ? `${edited} ✓`.trim() : edited;
}

function belongTogether(first, second) {
  if (!first || !second || first.user.id !== second.user.id) return false;
  return new Date(second.created_at) - new Date(first.created_at) < GROUP_MILLISECONDS;
}

/** Writing the same text again would make screen readers read it again. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
