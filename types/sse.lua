---@meta sse
-- What scripts may use, for the Lua language server and for the reference in README.md, which `./dev reference` makes
-- from this file. `sse-router --types DIR` writes it where an editor finds it.
-- Durations are seconds or texts such as "500ms", "3s", "10m", "1h", "7d"; sizes are bytes or "64k", "1M", "1G".

---@class sse
local sse = {}

---@alias sse.Duration number|string
---@alias sse.Size integer|string

---@class sse.Event
---@field event? string name; browsers call it "message" when there is none
---@field data? any text as it is; other values as JSON
---@field id? string|number an id of your own; without one the router gives `epoch-sequence`
---@field retry? sse.Duration tells the client how long to wait before it comes back
---@field key? string of a keyed channel, when the channel's rule does not find it
---@field meta? any for filters alone; never sent
---@field idempotency_key? string a repeated publication with the same key within 10 minutes publishes nothing

---@class sse.Channel
---@field name string
---@field subscribers integer that listen now
---@field length integer events in the log in memory
---@field published integer events since the start
---@field closed boolean
local Channel = {}

--- Publishes an event: it is in the log, and on disk for a durable channel, when this returns.
---@param event sse.Event|string
---@return string? id nil when the store refused it
---@return integer|string subscribers or the message
---@return boolean|string? durable whether it is on disk; or a code
---@return boolean? duplicate whether its idempotency key was used before
function Channel:publish(event) end

--- Forgets a key of a keyed channel, and tells readers by a `delete` event or the one given.
---@param key string
---@param event? sse.Event
function Channel:delete(key, event) end

--- Ends the channel's streams once they have sent what is pending.
function Channel:close() end

---@class sse.Request
---@field method string
---@field path string
---@field params table<string, string> of the route's pattern
---@field query table<string, string> first value of each key
---@field query_all table<string, string[]>
---@field headers table<string, string> by lower-case name
---@field cookies table<string, string>
---@field body string
---@field ip string
---@field last_event_id? string of the header, or of `?last_event_id=`
---@field claims? table what sse.auth found out
local Request = {}

--- The body as JSON.
---@return any value nil when it is none
---@return string? message
function Request:json() end

--- The body as a form.
---@return table<string, string>
function Request:form() end

---@class sse.Client: sse.Request
---@field closed boolean
local Client = {}

--- Sends an event to this client; waits while its reader is behind.
---@param event sse.Event|string
---@return boolean? sent nil when the client has gone
---@return string? message
function Client:send(event) end

--- Sends a comment.
---@param text string
function Client:comment(text) end

--- Ends the stream.
function Client:close() end

---@class sse.Timer
local Timer = {}
function Timer:stop() end

---@class sse.RunningStream
---@field id string
---@field channels string[]
---@field closed? boolean
local RunningStream = {}
--- Hears these channels too.
function RunningStream:add(...) end
--- Hears these channels no more.
function RunningStream:remove(...) end

---@alias sse.Handler fun(req: sse.Request): any, any, any

-- Serving ------------------------------------------------------------------------------------------------------------

--- Listens on "HOST:PORT", ":PORT", "[IPV6]:PORT" or "unix:PATH". May be called again.
---@param address string
function sse.listen(address) end

--- Defines a route. Arguments between path and handler are guards; a channel may stand for the handler.
---@param path string "/a/:parameter/*rest"
---@param ... sse.Handler|sse.Channel
function sse.get(path, ...) end

--- See sse.get.
function sse.post(path, ...) end
--- See sse.get.
function sse.put(path, ...) end
--- See sse.get.
function sse.patch(path, ...) end
--- See sse.get.
function sse.delete(path, ...) end
--- A route for every method.
function sse.any(path, ...) end

--- Guards for every route defined from here on; what a guard returns ends the request.
---@param ... sse.Handler
function sse.use(...) end

--- Lets pages of other origins in: "*", an origin, or { origins =, credentials =, headers =, max_age = }.
---@param options string|table
function sse.cors(options) end

--- Serves a folder's files, with types, ETag, 304 and ranges.
---@param prefix string
---@param folder string relative to the script's
---@param options? { index: string, cache_control: string, dotfiles: boolean }
function sse.static(prefix, folder, options) end

--- A handler that serves one file.
---@param path string
---@return sse.Handler
function sse.file(path) end

---@class sse.auth
sse.auth = {}

--- A guard that wants `?token=` or `Authorization: Bearer`: without 401, with a wrong one 403.
---@param options { secret: string|string[], scope?: string, query?: string|false, header?: boolean }
---@return sse.Handler
function sse.auth.token(options) end

-- Channels and streams -----------------------------------------------------------------------------------------------

--- The channel of that name, with these options from now on.
---@param name string
---@param options? { history: integer, max_age: sse.Duration, max_bytes: sse.Size, key: string|function, on_lag: "disconnect"|"skip", on_reset: string|false|function, durable: boolean, durability: "full"|"relaxed", max_stored: sse.Size }
---@return sse.Channel
function sse.channel(name, options) end

--- Publishes to a channel or a name; see channel:publish.
---@param channel sse.Channel|string
---@param event sse.Event|string
function sse.publish(channel, event) end

--- A stream of channels: return it from a handler. Names may be patterns: "stock.*", "site.**".
---@param spec table channels first, then options: channels, events, filter, history, start, retry, heartbeat, first, through, with_channel, controls, on_reset
function sse.subscribe(spec) end

--- A stream of one's own: `fn` runs as a coroutine for each client.
---@param fn fun(client: sse.Client)
---@param options? { retry: sse.Duration, heartbeat: sse.Duration }
function sse.stream(fn, options) end

--- A named filter: false drops the event, true lets it through, a table is a changed event.
---@param name string
---@param fn fun(event: sse.Event, ...): any
function sse.filter(name, fn) end

--- Keeps durable channels in a database: "sqlite:feeds.db". Before the first channel.
---@param where string
---@param options? { default: boolean } false: only channels with `durable = true`
function sse.store(where, options) end

--- A ready-made endpoint: what is posted is published. The path names `:channel`, or the option does.
---@param path string
---@param options? { channel: sse.Channel|string, guards: sse.Handler|sse.Handler[], method: "POST"|"PUT" }
function sse.publisher(path, options) end

--- An endpoint that changes the channels of running streams; their subscriptions have `controls = true`.
---@param path string
---@param options { allow: fun(req: sse.Request, name: string): boolean }
function sse.controls(path, options) end

--- The running stream of an id that sse.controls streams told their client.
---@param id string
---@return sse.RunningStream?
function sse.find_stream(id) end

-- Pipes --------------------------------------------------------------------------------------------------------------

--- Sends events on from channels (names, patterns, lists) to a channel, through functions and stages.
---@param from any
---@param to sse.Channel|string|fun(event: sse.Event): string?
---@param ... any functions of the event, or stages
---@return { stop: fun(self) }
function sse.pipe(from, to, ...) end

--- A stage: at most one event in each interval, the first.
---@param interval sse.Duration
function sse.throttle(interval) end
--- A stage: the last event of a burst, when none has come for the interval.
---@param interval sse.Duration
function sse.debounce(interval) end
--- A stage: the last event of each interval.
---@param interval sse.Duration
function sse.sample(interval) end
--- A stage: up to `count` events as one list, after `time` at the latest.
---@param count integer
---@param time? sse.Duration
function sse.batch(count, time) end
--- A stage: leaves out events whose key (a field, a function, or all the data) was among the last ones.
---@param key? string|fun(event: sse.Event): any
---@param limit? integer
function sse.dedupe(key, limit) end

-- Time and tasks -----------------------------------------------------------------------------------------------------

--- Calls `fn` again and again; never twice at once.
---@param interval sse.Duration
---@param fn function
---@return sse.Timer
function sse.every(interval, fn) end

--- Calls `fn` once.
---@param delay sse.Duration
---@param fn function
---@return sse.Timer
function sse.after(delay, fn) end

--- Waits, while others go on.
---@param duration sse.Duration
function sse.sleep(duration) end

--- Runs `fn` as a coroutine that may wait.
---@param fn function
function sse.spawn(fn, ...) end

--- A value for a `<close>` variable: `fn` runs at the end of its block, also when a client leaves.
---@param fn function
function sse.defer(fn) end

--- Seconds since 1970.
---@return number
function sse.now() end

--- Calls `fn` on "subscribe", "unsubscribe", "shutdown" or "error".
---@param event string
---@param fn function
function sse.on(event, fn) end

--- Loads the script anew, soon; so do SIGHUP and --watch.
function sse.reload() end

--- A table of plain data that outlives reloads.
---@param name string
---@param default? table
---@return table
function sse.state(name, default) end

-- Other servers ------------------------------------------------------------------------------------------------------

---@class sse.Response
---@field status integer
---@field headers table<string, string> by lower-case name
---@field body string
---@field url string where it came from, after redirects
local Response = {}
--- The body as JSON.
---@return any value nil when it is none
---@return string? message
function Response:json() end

--- Asks another server, while others go on; without a response nil, a message and a code such as "ETIMEDOUT".
---@param url string
---@param options? { method: string, headers: table<string, string>, body: string|table, timeout: sse.Duration, max_body: sse.Size, follow: integer, ca: string, insecure: boolean }
---@return sse.Response?
---@return string? message
---@return string? code
function sse.fetch(url, options) end

---@class sse.Poll
local Poll = {}
--- Asks no more.
function Poll:stop() end

--- Asks for a URL at once and at each interval, and calls `fn` when the response has changed (ETag, else its body). A reload that does not change it goes unnoticed.
---@param url string
---@param interval sse.Duration
---@param fn fun(response: sse.Response)
---@param options? table as for sse.fetch
---@return sse.Poll
function sse.poll(url, interval, fn, options) end

---@class sse.Upstream
---@field state "connecting"|"open"|"closed"
---@field last_event_id? string
---@field reason? string why it is closed
---@field url string without its query
local Upstream = {}
--- Leaves the stream for good.
function Upstream:stop() end

--- Listens to another server's event stream and comes back after every end; a channel gets its events with their ids. A reload keeps the connection.
---@param url string
---@param options? { headers: table<string, string>, last_event_id: string, retry: sse.Duration, timeout: sse.Duration, idle: sse.Duration, ca: string, insecure: boolean }
---@param target sse.Channel|string|fun(event: { event?: string, data: string, id?: string })
---@return sse.Upstream
function sse.upstream(url, options, target) end

---@class sse.Lines what is made of the lines of a source
---@field channel? sse.Channel|string
---@field parse? "line"|"json"|"sse"|fun(line: string): any, string? "line": the line is the data; "json": it becomes the data; "sse": the lines are an event stream; a function returns an event, or nothing, or nil and what is wrong
---@field event? string name of the events that bring none

---@class sse.ExecOptions: sse.Lines
---@field when? "always"|"subscribed" the latter: from the channel's first subscriber to `linger` after the last one
---@field linger? sse.Duration default 5 s
---@field restart? boolean|"on-failure" after its end; true by default
---@field backoff? sse.Duration before it is started again, twice as long after each failure in a row; default 0.5 s
---@field grace? sse.Duration from SIGTERM to SIGKILL; default 5 s
---@field shell? boolean the command is a line of shell
---@field stdin? string
---@field env? table<string, string|number|false> changes of the environment; false removes
---@field cwd? string folder to run in; the script's own by default

---@class sse.Exec
---@field pid? integer while the program runs
---@field running boolean
local Exec = {}
--- Ends the program, for good.
function Exec:stop() end

--- Runs a program beside the router: the lines of its output become events, those of its stderr go to the log. It is started again when it ends, and dies with the router.
---@param command string[]|string a list of words; a line of shell with `shell = true`
---@param options sse.ExecOptions
---@return sse.Exec
function sse.exec(command, options) end

---@class sse.Source
local Source = {}
function Source:stop() end

--- Publishes each line that is appended to a file (or calls a function with it), through rotation, truncation and removal.
---@param path string begins at the script's folder when it is relative; the file need not be there yet
---@param target { channel: sse.Channel|string, parse?: string|function, event?: string, from?: "start"|"end" }|fun(line: string)
---@return sse.Source
function sse.tail(path, target) end

--- Calls `fn` when a file, or what is in a folder, was created, changed or removed.
---@param path string begins at the script's folder when it is relative; it need not be there yet
---@param fn fun(change: { path: string, change: "created"|"changed"|"removed" })
---@param options? { recursive: boolean, debounce: sse.Duration }
---@return sse.Source
function sse.watch(path, fn, options) end

--- Appends every event of a channel, or of all that a pattern means, to a file: lines of JSON, or an event stream when its name ends in ".sse".
---@param channel sse.Channel|string
---@param path string begins at the script's folder when it is relative
---@param options? { format: "json"|"sse" }
---@return sse.Source
function sse.record(channel, path, options) end

--- Publishes the events of a recording (lines of JSON or an event stream) with their timing.
---@param path string begins at the script's folder when it is relative
---@param options? { channel?: sse.Channel|string, speed?: number, loop?: boolean, interval?: sse.Duration, keep_ids?: boolean } `interval` is between events without a time
---@return sse.Source
function sse.replay(path, options) end

--- An endpoint for other services' events, signed with a secret: without a signature 401, with a wrong one 403.
---@param path string
---@param options { secret: string|string[], channel: sse.Channel|string, scheme?: "hmac-sha256"|"github"|"stripe", header?: string, tolerance?: sse.Duration, event?: string|fun(data: any, req: sse.Request): string|sse.Event|nil }
function sse.webhook(path, options) end

--- The HMAC of a text as hex digits.
---@param algorithm "sha1"|"sha256"|"sha384"|"sha512"
---@param key string
---@param data string
---@return string
function sse.hmac(algorithm, key, data) end

-- Values -------------------------------------------------------------------------------------------------------------

--- Marks a table as a list, so that it is [] in JSON when it is empty.
---@param list table
---@return table
function sse.array(list) end

--- null in JSON.
sse.null = nil

---@class sse.json
sse.json = {}
--- The value as JSON text; raises with the path of what cannot be sent.
function sse.json.encode(value) end
--- The value of JSON text, or nil and a message.
function sse.json.decode(text) end

--- The parts of "a,b,c", without spaces around them.
---@param text? string
---@param separator? string
---@return string[]
function sse.split(text, separator) end

--- Numbers of this machine: cpu, cpus, load1, memory_total, memory_used, uptime, network_received, ...
---@return table<string, number>
function sse.system() end

--- Counters of the router: connections, turned_away, refused_requests, streams, stalled, published, lagged, evicted_age, channels, log_bytes, ...
---@return table<string, integer>
function sse.stats() end

---@class sse.log
sse.log = {}
--- Writes a line to the router's log. Also debug, warn and error.
function sse.log.info(...) end

return sse
