// The REST API, as a mobile app talks to it: bearer token, JSON, and the X-Socket-ID header.

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export class Api {
  #token = '';
  #socketId;

  /** `socketId` is asked at each request: it changes with every reconnection. */
  constructor(socketId) {
    this.#socketId = socketId;
  }

  get token() {
    return this.#token;
  }

  async logIn(email, password) {
    const answer = await this.#request('POST', '/api/login', { email, password });
    this.#token = answer.token;
    return answer.user;
  }

  async session(id) {
    return (await this.#request('GET', `/api/sessions/${id}`)).data;
  }

  async comments(sessionId) {
    return (await this.#request('GET', `/api/sessions/${sessionId}/comments`)).data;
  }

  async create(sessionId, content) {
    return (await this.#request('POST', `/api/sessions/${sessionId}/comments`, { content })).data;
  }

  async update(id, content) {
    return (await this.#request('PUT', `/api/comments/${id}`, { content })).data;
  }

  async delete(id) {
    await this.#request('DELETE', `/api/comments/${id}`);
  }

  async #request(method, path, body) {
    const headers = { Accept: 'application/json' };
    if (body) headers['Content-Type'] = 'application/json';
    if (this.#token) headers.Authorization = `Bearer ${this.#token}`;
    // This is what toOthers() needs: without it the author receives the own comment a second time.
    // Echo adds it to axios by itself, but not to fetch.
    const socketId = this.#socketId();
    if (socketId) headers['X-Socket-ID'] = socketId;
    const response = await fetch(path, {
      method,
      headers,
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(10_000),
    });
    const answer = response.status === 204 ? null : await response.json().catch(() => null);
    if (!response.ok) throw new ApiError(response.status, answer?.message ?? response.statusText);
    return answer;
  }
}
