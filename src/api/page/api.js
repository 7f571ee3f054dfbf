// The API, by paths relative to this page.

const TOKEN = 'canary-token';
const TIMEOUT_MS = 8000;


// What the server answered instead of doing it. status 0: it did not answer.

class Refusal extends Error {
    constructor(status, title, detail, errors) {
        super(detail || title);
        this.status = status;
        this.title = title;
        this.errors = errors || [];
    }
}


function endpointPath(name, rest) {
    return `endpoints/${encodeURIComponent(name)}${rest || ''}`;
}


function requestHeaders(more) {
    const token = sessionStorage.getItem(TOKEN);
    const headers = { Accept: 'application/json', ...more };

    if (token !== null) {
        headers['X-Canary-Token'] = token;
    }

    return headers;
}


async function request(method, path, options) {
    const { body, generation } = options || {};
    const headers = requestHeaders();

    if (body !== undefined) {
        headers['Content-Type'] = 'application/json';
    }

    if (generation !== undefined) {
        headers['If-Match'] = `"${generation}"`;
    }

    let response;

    try {
        response = await fetch(path, {
            method,
            headers,
            body: body === undefined ? undefined : JSON.stringify(body),
            cache: 'no-store',
            signal: AbortSignal.timeout(TIMEOUT_MS),
        });

    } catch (error) {
        throw new Refusal(0, 'No answer', error.name === 'TimeoutError'
            ? `The server did not answer in ${TIMEOUT_MS / 1000} s.`
            : 'The server cannot be reached.');
    }

    return readAnswer(response);
}


async function readAnswer(response) {
    let data = null;

    try {
        data = await response.json();

    } catch (error) {
        if (response.ok) {
            throw new Refusal(0, 'No answer',
                              'What the server answered is cut short.');
        }
    }

    if (response.ok) {
        return data;
    }

    if (response.status === 401 && !asksForPassword(response)) {
        throw new Refusal(401, 'Token needed',
                          data && data.detail || 'A token is needed.');
    }

    throw new Refusal(response.status,
                      data && data.title || response.statusText
                      || `Status ${response.status}`,
                      data && data.detail, data && data.errors);
}


// The browser itself asks for user and password of auth_basic.

function asksForPassword(response) {
    return /^\s*basic/i.test(response.headers.get('WWW-Authenticate') || '');
}


// Server-sent events, read by fetch(): EventSource could not send a token.
// Calls back with each event, and ends when the stream does.

async function readEvents(path, last, signal, callback) {
    const more = { Accept: 'text/event-stream' };

    if (last !== null) {
        more['Last-Event-ID'] = last;
    }

    const response = await fetch(path, {
        headers: requestHeaders(more), cache: 'no-store', signal,
    });

    const type = response.headers.get('Content-Type') || '';

    if (!response.ok || !type.startsWith('text/event-stream')) {
        throw new Refusal(response.status, 'No events');
    }

    const reader = response.body.pipeThrough(new TextDecoderStream())
        .getReader();
    let text = '';

    for (;;) {
        const { value, done } = await reader.read();

        if (done) {
            return;
        }

        text = parseEvents((text + value).replace(/\r\n?/g, '\n'), callback);
    }
}


// Returns what is left of an event that has not come to its end.

function parseEvents(text, callback) {
    const blocks = text.split('\n\n');
    const rest = blocks.pop();

    for (const block of blocks) {
        const data = block.split('\n')
            .filter((line) => line.startsWith('data:'))
            .map((line) => line.slice(5).replace(/^ /, ''));

        if (data.length) {
            callback(JSON.parse(data.join('\n')));
        }
    }

    return rest;
}
