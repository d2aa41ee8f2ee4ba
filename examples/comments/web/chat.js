// One phone: logs in, shows the session, and ties screen, API and live events together.

import { Api, ApiError } from './api.js';
import { newAvatar } from './avatar.js';
import { CommentList } from './comment_list.js';
import { connect, followConnection, followPresence, joinSession } from './realtime.js';
import { Typing } from './typing.js';

const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(window.location.search);
let sessionId;

async function start() {
  if (!window.Pusher) {
    return tell('pusher-js is not installed: run "npm install" in examples/comments.', { stays: true });
  }
  const config = await (await fetch('/config.json')).json();
  const login = query.get('user');
  const account = config.users.find((user) => user.login === login);
  if (!account) return showPicker(config.users);
  sessionId = Number(query.get('session') ?? account.session);
  let echo = null;
  const api = new Api(() => echo?.socketId());
  const me = await api.logIn(account.email, config.password);
  const session = await api.session(sessionId);
  echo = await connect(config, api.token);
  new Phone(config, api, me, session, echo);
}

class Phone {
  #api;
  #me;
  #echo;
  #channel;
  #list;
  #typing = new Typing($('typing'));
  #editing = null; // the comment that the composer holds
  #state = 'connecting';
  #joined = false;
  #refused = false;
  #wasLive = false;

  constructor(config, api, me, session, echo) {
    this.#api = api;
    this.#me = me;
    this.#echo = echo;
    const elements = { list: $('comments'), scroll: $('scroll'), empty: $('empty') };
    this.#list = new CommentList(
      { ...elements, newer: $('newer'), template: $('comment-template') },
      me,
      { retry: (pending) => this.#send(pending), actions: (comment) => this.#offer(comment) },
    );
    $('title').textContent = session.title;
    $('me').textContent = `You are ${me.name}`;
    document.title = `${me.name.split(' ')[0]} · ${session.title}`;
    $('chat').hidden = false;
    this.#wireComposer();
    this.#goLive();
    this.#catchUp(); // at once: the API does not wait for the WebSocket
  }

  #goLive() {
    followConnection(this.#echo, (state) => {
      this.#state = state;
      if (state !== 'connected') this.#joined = false;
      this.#showState();
    });
    followPresence(this.#echo, (people) => this.#showPeople(people));
    this.#channel = joinSession(this.#echo, sessionId, {
      joined: () => {
        this.#joined = true;
        this.#showState();
        this.#catchUp();
      },
      created: (comment) => {
        this.#typing.hide(comment.user.id);
        this.#list.put(comment);
      },
      updated: (comment) => this.#list.put(comment),
      deleted: ({ id }) => this.#list.markDeleted(id),
      typing: (person) => this.#typing.show(person),
      refused: () => {
        this.#refused = true;
        this.#showState();
      },
    });
  }

  /** What happened while we were away is in the database, not on the wire. */
  async #catchUp() {
    try {
      await this.#list.catchUp(() => this.#api.comments(sessionId));
    } catch (error) {
      // A restarted stand-in has forgotten its tokens: log in again by loading anew.
      if (error instanceof ApiError && error.status === 401) window.location.reload();
      console.warn('catching up failed', error);
    }
  }

  async #send(pending) {
    this.#list.setState(pending, 'sending');
    try {
      this.#list.confirm(pending, await this.#api.create(sessionId, pending.content));
    } catch (error) {
      console.warn('sending failed', error);
      this.#list.setState(pending, 'failed');
    }
  }

  #offer(comment) {
    $('sheet-quote').textContent = comment.content;
    $('sheet').firstElementChild.onsubmit = (event) => {
      // Not on the dialog's "close", which comes later: what is typed meanwhile would be lost.
      event.preventDefault();
      $('sheet').close();
      if (event.submitter.value === 'edit') this.#edit(comment);
      if (event.submitter.value === 'delete') this.#delete(comment);
    };
    $('sheet').showModal();
  }

  #edit(comment) {
    this.#editing = comment;
    $('editing').hidden = !comment;
    $('text').value = comment?.content ?? '';
    $('text').focus();
    this.#fitComposer();
  }

  async #save(comment, content) {
    try {
      this.#list.put(await this.#api.update(comment.id, content));
    } catch (error) {
      tell(`Your change was not saved: ${error.message}`);
    }
  }

  async #delete(comment) {
    try {
      await this.#api.delete(comment.id);
      this.#list.markDeleted(comment.id);
    } catch (error) {
      tell(`Your comment was not deleted: ${error.message}`);
    }
  }

  #wireComposer() {
    const text = $('text');
    $('composer').addEventListener('submit', (event) => {
      event.preventDefault();
      const content = text.value.trim();
      if (!content) return;
      const editing = this.#editing;
      this.#edit(null);
      this.#typing.reset();
      if (editing) this.#save(editing, content);
      else this.#send(this.#list.addPending(content));
    });
    text.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && this.#editing) this.#edit(null);
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      $('composer').requestSubmit();
    });
    text.addEventListener('input', () => {
      this.#fitComposer();
      if (this.#joined && text.value.trim()) this.#typing.whisper(this.#channel, this.#me);
    });
    $('cancel-edit').addEventListener('click', () => this.#edit(null));
  }

  #fitComposer() {
    const text = $('text');
    $('send').disabled = !text.value.trim();
    $('send').setAttribute('aria-label', this.#editing ? 'Save' : 'Send');
    text.style.height = 'auto';
    text.style.height = `${text.scrollHeight + 2}px`;
  }

  #showPeople(people) {
    const others = people.filter(({ id }) => id !== this.#me.id);
    const me = people.filter(({ id }) => id === this.#me.id);
    $('people-title').textContent = `${people.length} online`;
    $('people').replaceChildren(
      ...[...me, ...others].map((user) => {
        const item = document.createElement('li');
        item.dataset.user = user.id;
        item.append(newAvatar(user), user.id === this.#me.id ? 'You' : user.name.split(' ')[0]);
        return item;
      }),
    );
  }

  #showState() {
    const [state, words] = this.#stateWords();
    $('badge').dataset.state = state;
    $('badge').textContent = words;
    $('people').parentElement.classList.toggle('stale', state !== 'live');
    this.#wasLive ||= state === 'live';
  }

  #stateWords() {
    if (this.#refused) return ['stopped', 'No access'];
    if (this.#state === 'connected') return this.#joined ? ['live', 'Live'] : ['connecting', 'Joining…'];
    if (this.#state === 'unavailable') return ['offline', 'Offline, retrying…'];
    if (this.#state === 'failed') return ['stopped', 'Not supported'];
    if (this.#state === 'disconnected') return ['stopped', 'Refused'];
    return ['connecting', this.#wasLive ? 'Reconnecting…' : 'Connecting…'];
  }
}

function showPicker(users) {
  const items = users.map((user) => {
    const link = document.createElement('a');
    link.href = `/?user=${user.login}`;
    link.append(newAvatar(user), user.name);
    const item = document.createElement('li');
    item.append(link);
    return item;
  });
  $('picker-users').replaceChildren(...items);
  $('picker').hidden = false;
}

let hideNotice;
function tell(message, { stays = false } = {}) {
  $('notice').textContent = message;
  $('notice').hidden = false;
  clearTimeout(hideNotice);
  if (!stays) hideNotice = setTimeout(() => { $('notice').hidden = true; }, 8_000);
}

start().catch((error) => {
  const words = error.status === 403 ? 'you do not take part in this session.' : error.message;
  tell(`This page cannot start: ${words}`, { stays: true });
});
