// Which view is on show, when it asks, and how the connection is.

const STREAM_RETRY_MS = 3000;


class App {
    constructor() {
        this.main = document.getElementById('main');
        this.live = document.getElementById('live');
        this.banners = document.getElementById('banners');
        this.index = null;
        this.view = null;
        this.timer = null;
        this.polling = false;
        this.lostAt = null;
        this.answeredAt = null;
        this.asked = null;
        this.stream = null;
        this.lastEvent = null;

        this.lost = element('p', { class: 'banner bad', role: 'alert',
                                   hidden: true });
        this.heartbeat = element('p', { class: 'banner bad', role: 'alert',
                                        hidden: true });
        this.readOnly = element('p', { class: 'banner', hidden: true },
            'This location can only be read.');
        this.fleet = new FleetStrip();
        this.inFleet = false;
        this.banners.append(this.lost, this.heartbeat, this.readOnly,
                            this.fleet.node);
    }

    run() {
        window.addEventListener('hashchange', () => this.route());
        document.addEventListener('visibilitychange', () => this.visible());

        // The fragment is the address of a view, so this link is no link.

        document.getElementById('skip').addEventListener('click', (event) => {
            event.preventDefault();
            this.main.focus();
        });

        setText(this.live, 'Connecting');
        this.route();
    }

    route() {
        const match = /^#\/endpoint\/(.+)$/.exec(location.hash);
        let name = null;

        try {
            name = match && decodeURIComponent(match[1]);
        } catch (error) {
            location.hash = '#/';
            return;
        }

        const first = this.view === null;

        this.view = name === null ? new Overview(this)
                                  : new EndpointView(name, this);
        document.title = `${this.view.title} – canary rollouts`;
        this.main.replaceChildren(this.view.node);
        window.scrollTo(0, 0);

        if (!first) {
            this.main.focus();
        }

        this.soon();
    }

    // Asks while somebody looks, the next time when the last answer is there.

    visible() {
        if (!document.hidden) {
            this.soon();
        } else if (this.stream) {
            this.stream.abort();
        }
    }

    soon() {
        clearTimeout(this.timer);

        if (this.polling) {
            this.again = true;
            return;
        }

        this.poll();
    }

    async poll() {
        if (document.hidden) {
            return;
        }

        const view = this.view;
        this.polling = true;
        this.again = false;

        try {
            await this.asking(async () => {
                if (this.index === null) {
                    await this.readIndex();
                }

                this.beats(await view.poll());
                this.fleet.show(this.inFleet ? await request('GET', 'fleet')
                                             : null);
            });

            this.connected();
            this.listen();

        } catch (error) {
            this.disconnected(error);
        }

        this.polling = false;
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.poll(),
            this.again || view !== this.view ? 0 : view.interval());
    }

    async readIndex() {
        this.index = await request('GET', './');
        setHidden(this.readOnly, this.index.write);
    }

    // Does what may need a token; asks for one, and does it again.

    async asking(what) {
        for (;;) {
            const token = sessionStorage.getItem(TOKEN);

            try {
                return await what();

            } catch (error) {
                if (error.status !== 401 || error.title !== 'Token needed') {
                    throw error;
                }

                if (sessionStorage.getItem(TOKEN) === token) {
                    await this.askOnce(token, error);
                }

                if (sessionStorage.getItem(TOKEN) === token) {
                    throw error;
                }
            }
        }
    }

    askOnce(token, error) {
        if (!this.asked) {
            this.asked = askToken(token === null
                ? 'This API is for who has a token.'
                : `The token was not accepted. ${error.message}`)
                .finally(() => { this.asked = null; });
        }

        return this.asked;
    }

    connected() {
        this.answeredAt = Date.now();
        this.lostAt = null;
        setHidden(this.lost, true);
        setText(this.live, 'Live');
        setClass(this.live, 'live on');
        document.body.classList.remove('stale');
    }

    // What is on show is old now, and says so.

    disconnected(error) {
        if (!(error instanceof Refusal)) {
            console.error(error);
        }

        this.lostAt = this.lostAt || Date.now();
        this.index = null;

        const since = this.answeredAt === null ? ''
            : ` What you see is from ${clock(this.answeredAt)}.`;

        setText(this.lost, `Connection lost: ${error.message}${since} `
                           + 'Trying again.');
        setHidden(this.lost, false);
        setText(this.live, 'Connection lost');
        setClass(this.live, 'live off');
        document.body.classList.add('stale');
    }

    beats(age) {
        setHidden(this.heartbeat, age < HEARTBEAT_MS);

        if (age >= HEARTBEAT_MS) {
            setText(this.heartbeat, 'The control loop of this nginx last '
                + `worked ${duration(Math.floor(age / 1000))} ago: no rollout `
                + 'takes a step. Workers still roll back at a failed '
                + 'attempt that breaks a rule.');
        }
    }

    // Events come the moment they happen, where the API has a stream of them.

    async listen() {
        if (this.stream || document.hidden
            || !this.index.paths.some((one) => one.path === 'events'))
        {
            return;
        }

        this.stream = new AbortController();

        try {
            await readEvents('events', this.lastEvent, this.stream.signal,
                             (event) => this.event(event));
        } catch (error) {
            // Polling says what is wrong, if anything is.
        }

        setTimeout(() => {
            this.stream = null;

            if (this.lostAt === null) {
                this.listen();
            }
        }, STREAM_RETRY_MS);
    }

    event(event) {
        this.lastEvent = event.id;
        this.view.event(event);
    }

    // Who it is, of several that look the same.

    answeredBy(endpoint) {
        if (!endpoint) {
            return;
        }

        const { nginx, configuration } = endpoint;

        this.inFleet = endpoint.fleet !== undefined;

        setText(document.getElementById('who'), [
            nginx.node ? `${nginx.node} on ${nginx.host}` : nginx.host,
            `nginx ${nginx.version}`, `nginx-canary ${nginx.module}`,
            `configuration ${configuration.serial} of `
            + clock(configuration.loaded),
        ].join(' · '));
    }

    announce(text) {
        setText(document.getElementById('announce'), text);
    }
}


new App().run();
