-- sse.upstream: listens to another server's event stream, as an EventSource would (HTML standard, 9.2).

local core = require "sse.core"
local estate = require "sse.estate"
local event_reader = require "sse.event_reader"
local failures = require "sse.failures"
local fetch = require "sse.fetch"
local json = require "sse.json"
local options = require "sse.options"
local state = require "sse.state"

local M = {}

local TURN = 0.02 -- seconds after which others have their turn
local SHORTEST = 0.01 -- seconds between two connections, whatever the server asks for
local KEPT = "kept" -- the outcome of a connection that another script goes on with

local function start_id(value)
  if type(value) == "string" and not value:find "[\r\n\0]" then
    return value
  end
  return nil, "must be an id of one line"
end

local RULES = {
  headers = { type = fetch.headers, default = {} },
  last_event_id = { type = start_id },
  retry = { type = "duration", default = "3s" },
  timeout = { type = "duration", default = "30s" },
  idle = { type = "duration" },
  ca = { type = fetch.ca },
  insecure = { type = "boolean" },
}

---@class sse.Upstream
---@field state "connecting"|"open"|"closed"
---@field last_event_id string
---@field reason string? why it is closed
local Upstream = {}

local private = setmetatable({}, { __mode = "k" }) -- by handle

local VISIBLE = { state = true, last_event_id = true, reason = true, url = true }

local handle_meta = { __name = "sse.upstream" }

function handle_meta.__index(handle, name)
  return Upstream[name] or VISIBLE[name] and private[handle][name] or nil
end

local function end_for_good(self, reason)
  self.state, self.reason = "closed", reason
end

--- Leaves the stream for good.
function Upstream.stop(handle)
  local self = private[handle]
  if self.state == "closed" then
    return
  end
  end_for_good(self, "stopped")
  self.bell:ring()
  if self.transfer then
    self.transfer:close()
  end
end

-- What is done with events

--- An id that no client of ours could come back with is left out: the event then has one of the router's.
local function event_for_channel(self, event)
  return {
    event = event.event,
    data = event.data,
    id = event.bears_id and core.is_event_id(event.id) and event.id or nil,
    meta = { upstream = self.name },
  }
end

--- Hands an event over. Gives what `publish_end` takes.
local function publish_begin(self, event)
  if event.bears_id and self.ahead[event.id] then
    self.ahead[event.id] = nil
    return true
  end
  local ok, id, message = pcall(core.publish_later, self.channel, event_for_channel(self, event))
  if not ok then
    core.report(self.what, id)
  end
  return not ok or id or nil, message
end

--- True when the event is in the log, or never can be; else nil and a message.
local function publish_end(begun, message)
  if type(begun) == "userdata" then
    begun, message = core.publish_result(begun)
  end
  return begun and true or nil, message
end

--- Publishes all, which share the wait for the disk. What a failing store has left out is asked for again, from the
--- last event before; what is in the log behind it is then left out.
local function publish_all(self, events)
  local begun, failure = {}, nil
  for index, event in ipairs(events) do
    begun[index] = table.pack(publish_begin(self, event))
  end
  for index, event in ipairs(events) do
    local ok, message = publish_end(begun[index][1], begun[index][2])
    if not ok then
      failure = failure or message
    elseif not failure then
      self.last_event_id = event.id
      self.storing:clear()
    elseif event.bears_id then
      self.ahead[event.id] = true
    end
  end
  return not failure, failure
end

--- Lets others have their turn, when it is time.
local function take_turns(self)
  local now = core.monotonic()
  if now > self.turn_ends then
    core.sleep(0)
    self.turn_ends = core.monotonic() + TURN
  end
end

--- Calls the script's function for each event. One that fails and fails is given time.
local function call_all(self, events)
  while self.taken < #events do
    take_turns(self)
    if self.state == "closed" or core.is_retired() then
      return true
    end
    local event = events[self.taken + 1]
    local given = { event = event.event, data = event.data, id = event.id ~= "" and event.id or nil }
    local wait = nil
    self.legacy:set_busy(true)
    if self.calls:call(self.fn, given) then
      self.calls:clear()
    else
      wait = self.calls:add(0.001)
    end
    self.legacy:set_busy(false)
    self.taken = self.taken + 1
    self.last_event_id = event.id
    if wait and self.calls.count >= 10 and not core.is_retired() then
      core.sleep(wait)
    end
  end
  return true
end

--- Publishes all, also when the script is reloaded meanwhile.
local function publish_whole(self, events)
  self.legacy:set_busy(true)
  local ok, message = publish_all(self, events)
  self.legacy:set_busy(false)
  return ok, message
end

--- Hands over the events that were read, from the first that was not taken.
local function take(self)
  local ok, message = true, nil
  if #self.events > 0 then
    ok, message = (self.channel and publish_whole or call_all)(self, self.events)
  end
  if ok and (self.channel or self.taken == #self.events) then
    self.events, self.taken = {}, 0
    self.last_event_id = self.reader.last_event_id
  end
  self.kept.id = self.last_event_id
  return ok, message
end

local function feed(self, bytes)
  local reader = self.reader
  self.events, self.taken = reader:feed(bytes), 0
  for _, event in ipairs(self.events) do
    if event.event == "reset" then
      core.log("warn", ("%s: the server could not continue after %q: %s"):format(self.what, self.last_event_id,
        event.data:sub(1, 200)))
    end
  end
  if reader.skipped > 0 then
    core.report(self.what, ("left out an event of more than %d bytes"):format(reader.limit))
    reader.skipped = 0
  end
  self.retry = reader.retry or self.retry
end

-- Connections

--- The newest id of this upstream that the channel's log has, once all that is on its way is there.
local function id_in_log(self)
  local meta = json.encode { upstream = self.name }
  local id, waits
  repeat
    id, waits = core.last_id(self.channel, meta)
    if waits then
      core.sleep(0.01)
    end
  until not waits
  return id
end

local function find_start(self)
  if not self.last_event_id then
    self.last_event_id = self.channel and id_in_log(self) or self.kept.id or self.options.last_event_id or ""
  end
end

local function open(self)
  local headers = fetch.copy_headers(self.options.headers)
  fetch.add_header(headers, "Accept", "text/event-stream")
  fetch.add_header(headers, "Cache-Control", "no-store")
  if self.last_event_id ~= "" then
    fetch.add_header(headers, "Last-Event-ID", self.last_event_id)
  end
  return fetch.open(self.address, {
    headers = headers,
    follow = 20,
    identity = true,
    ca = self.options.ca,
    insecure = self.options.insecure,
  })
end

--- Waits for the head; nil and what went wrong when there is none.
local function await_head(self, transfer)
  local late = false
  local watchdog = core.timer(self.options.timeout, false, function()
    late = true
    transfer:close()
  end)
  local status, head, code = transfer:head()
  watchdog:stop()
  if status then
    return status, fetch.parse_head(head)
  elseif late then
    return nil, ("no answer in %g s"):format(self.options.timeout)
  end
  return nil, self.state ~= "closed" and ("%s (%s)"):format(head, code) or nil
end

--- Why this answer means: never come back. Nil when it does not.
local function refusal(status, headers)
  local kind = (headers["content-type"] or "none"):match "^%s*([^;%s]*)":lower()
  if status == 204 then
    return "status 204"
  elseif status == 200 and kind ~= "text/event-stream" then
    return "content type " .. kind
  elseif status ~= 200 and status < 500 then
    return "status " .. status
  end
end

--- Ends a transfer that has been silent for too long; what the script does with an event does not count. For a
--- `<close>` variable.
local function watch_silence(self, transfer)
  local limit = self.options.idle
  local timer = limit and core.timer(limit / 4, true, function()
    if self.listening_since and core.monotonic() - self.listening_since > limit then
      self.silent = true
      transfer:close()
    end
  end)
  return setmetatable({}, {
    __close = function()
      if timer then
        timer:stop()
      end
    end,
  })
end

--- The next bytes; nil and perhaps a message at the end.
local function read(self, transfer)
  self.listening_since = core.monotonic()
  local bytes, message, code = transfer:read()
  self.listening_since = nil
  if bytes then
    return bytes
  elseif self.silent then
    return nil, ("silent for more than %g s"):format(self.options.idle)
  end
  return nil, message and ("%s (%s)"):format(message, code)
end

--- Until the connection's end, or until the script that takes over goes on with it.
local function read_all(self)
  while self.state ~= "closed" do
    local ok, refused = take(self)
    if core.is_retired() and ok then
      return KEPT
    elseif not ok then
      return nil, refused, self.storing
    end
    take_turns(self)
    local bytes, message = read(self, self.transfer)
    if not bytes then
      return true, message
    end
    feed(self, bytes)
  end
end

--- Waits until the stream is open; nil, and perhaps a message, when it will not be.
local function await_open(self)
  local status, headers = await_head(self, self.transfer)
  if not status then
    return nil, headers
  end
  local reason = refusal(status, headers)
  if reason then
    end_for_good(self, reason)
    if status ~= 204 then
      core.report(self.what, "gives up: " .. reason)
    end
    return nil
  elseif status ~= 200 then
    return nil, "status " .. status
  end
  self.state, self.events, self.taken = "open", {}, 0
  self.reader = event_reader.new(self.last_event_id, core.event_limit())
  self.attempts:clear()
  core.log("debug", self.what .. ": open")
  return true
end

--- One connection, to its end. Nil, a message and what to count it by, when it failed before it was open or the events
--- could not be kept.
local function connect(self)
  if not self.transfer then
    find_start(self)
    self.transfer = open(self)
  end
  if self.state ~= "open" then
    local ok, message = await_open(self)
    if not ok then
      return nil, message
    end
  end
  self.silent, self.listening_since = false, nil
  local _ <close> = watch_silence(self, self.transfer)
  return read_all(self)
end

local function drop(self)
  if self.transfer then
    self.transfer:close()
    self.transfer = nil
  end
  if self.state ~= "closed" then
    self.state = "connecting"
  end
end

--- Comes back after the reconnection time, and up to half of it more, so that many do not come at once.
local function come_back(self, opened, message, counter)
  drop(self)
  if self.state == "closed" then
    return
  end
  local delay = opened and self.retry or (counter or self.attempts):add(self.retry)
  delay = math.max(delay, SHORTEST) * (1 + math.random() / 2)
  core.log(opened and "info" or "warn", ("%s: %s; comes back in %.1f s"):format(self.what,
    message or "the server has ended the stream", delay))
  self.due = core.monotonic() + delay
end

local function wait_until_due(self)
  while self.due and self.state ~= "closed" do
    local left = self.due - core.monotonic()
    if left > 0 then
      self.bell:wait(left)
    else
      self.due = nil
    end
  end
end

--- The task is over: what there is goes to the script that takes over, if that is why.
local function leave(self)
  local goes_on = core.is_retired() and self.state ~= "closed"
  self.legacy:set_busy(false)
  if goes_on and (self.transfer or self.due) then
    estate.leave(self)
  else
    drop(self)
  end
  if core.is_retired() or self.state == "closed" then
    self.legacy:close()
  end
end

local function run(self)
  local _ <close> = setmetatable({}, { __close = function()
    leave(self)
  end })
  estate.inherit(self)
  while self.state ~= "closed" and not core.is_retired() do
    wait_until_due(self)
    if self.state ~= "closed" then
      local opened, message, counter = connect(self)
      if opened ~= KEPT then
        come_back(self, opened, message, counter)
      end
    end
  end
end

local function start(self)
  core.task(function()
    run(self)
  end, function(problem)
    if problem then
      core.report(self.what, problem)
    end
    if problem and self.state ~= "closed" and not core.is_retired() then
      come_back(self, nil, "an error")
      start(self)
    end
  end)
end

-- Definition

local defined = {} -- how many upstreams there are of a URL

--- A name for the URL that is the same in every run, and tells no query or password.
local function name_of(url)
  local shown = fetch.show_url(url)
  return shown == url and url or ("%s#%08x"):format(shown, core.hash(url))
end

local function check_url(url)
  options.argument("sse.upstream", 1, "url", url, "string")
  if not fetch.is_url(url) then
    options.raise(("sse.upstream: argument 1 (url) must begin with http:// or https://, got %q"):format(url:sub(1, 40)))
  end
end

local function check_target(target)
  if type(target) == "function" then
    return target, nil
  elseif type(target) == "string" and target ~= "" and not core.is_pattern(target) then
    return nil, target
  elseif type(target) == "userdata" and (getmetatable(target) or {}).__name == "sse.channel" then
    return nil, target
  end
  options.raise("sse.upstream: the last argument must be a function, a channel or a channel's name, got "
    .. type(target))
end

--- Listens to another server's event stream: each event goes to `target`, a function of the event or a channel. It
--- comes back after every end, from where it was. Events in a channel keep their name, data and id, and after a
--- restart of this router the stream continues after the newest of them.
---@param url string
---@param given table options; may be left out
---@param target function|sse.Channel|string
---@return sse.Upstream
function M.upstream(url, given, target)
  check_url(url)
  if target == nil and type(given) ~= "table" then
    given, target = nil, given
  end
  local checked = options.check("sse.upstream", given, RULES)
  local fn, channel = check_target(target)
  local name = name_of(url)
  local what = "sse.upstream " .. fetch.show_url(url)
  defined[name] = (defined[name] or 0) + 1
  local self = { address = url, name = name, what = what, fn = fn, channel = channel, options = checked }
  self.url = fetch.show_url(url)
  self.state, self.retry, self.ahead, self.turn_ends = "connecting", checked.retry, {}, 0
  self.events, self.taken = {}, 0
  self.attempts, self.calls, self.storing = failures.new(what), failures.new(what), failures.new(what)
  self.kept = state.get(("sse.upstream %s %d"):format(name, defined[name]))
  self.bell = core.bell()
  self.legacy = core.legacy(estate.definition(url, given), self.bell)
  -- Not before the script has taken over.
  core.timer(0, false, function()
    start(self)
  end)
  local handle = setmetatable({}, handle_meta)
  private[handle] = self
  return handle
end

return M
