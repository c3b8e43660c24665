-- A client that behaves as the HTML standard's EventSource (9.2.3) and reads its wire strictly: malformed
-- chunks, malformed heads and invalid UTF-8 fail the spec. Events queue up until the spec takes them.

local json = require "cjson"
local address = require "spec.support.address"
local cleanup = require "spec.support.cleanup"
local event_stream = require "spec.support.event_stream"
local http = require "spec.support.http"
local http_decoder = require "spec.support.http_decoder"
local loop = require "spec.support.loop"

local M = {}

--- The pure parser: `eventsource.parser(handlers, last_event_id)`, see event_stream.lua.
M.parser = event_stream.new

--- Many light clients: `eventsource.many(where, path, count, options)`, see swarm.lua.
function M.many(...)
  return require("spec.support.swarm").open(...)
end

---@class support.EventSource
---@field head support.HttpHead|nil of the newest response
---@field heads support.HttpHead[] of all of them, also refused ones
---@field comments string[] texts after the colon
---@field retry number seconds until a reconnect; the stream may change it
---@field retries integer[] all reconnection times the stream has sent, in milliseconds
---@field last_event_id string
---@field opened integer connections that became open
---@field endings string[] how each connection ended: "complete", "truncated", an error's name, "dropped"
---@field reason string|nil why the client is closed: "status 204", "content type text/plain", "closed", ...
local EventSource = {}
EventSource.__index = EventSource

local connect

--- "Fail the connection": never come back.
local function close_for_good(self, reason)
  self.current_state = "closed"
  self.reason = self.reason or reason
  self.connection = self.connection + 1
  loop.close(self.handle)
  loop.close(self.timer)
  cleanup.remove(self)
end

--- "Reestablish the connection" after the reconnection time.
local function reconnect_later(self, ending)
  table.insert(self.endings, ending)
  if self.options.reconnect == false then
    close_for_good(self, "ended: " .. ending)
    return
  end
  self.connection = self.connection + 1
  loop.close(self.handle)
  self.current_state = "connecting"
  self.timer = loop.after(self.options.reconnect_after or self.retry, function()
    connect(self)
  end)
end

local function on_head(self, head)
  self.head = head
  table.insert(self.heads, head)
  local content_type = head.headers["content-type"] or "none"
  if head.status ~= 200 then
    close_for_good(self, "status " .. head.status)
  elseif content_type:lower():match "^[^; ]*" ~= "text/event-stream" then
    close_for_good(self, "content type " .. content_type)
  else
    self.current_state = "open"
    self.opened = self.opened + 1
  end
end

local function on_event(self, event)
  self.received = self.received + 1
  if self.options.on_event then
    self.options.on_event(event)
  else
    self.last = self.last + 1
    self.queue[self.last] = event
  end
end

local function new_parser(self)
  return event_stream.new({
    on_event = function(_, event)
      on_event(self, event)
    end,
    on_comment = function(_, text)
      table.insert(self.comments, text)
    end,
    on_retry = function(_, milliseconds)
      self.retry = milliseconds / 1000
      table.insert(self.retries, milliseconds)
    end,
  }, self.last_event_id)
end

local function on_body(self, parser, bytes)
  if self.current_state ~= "open" then
    return
  end
  parser:feed(bytes)
  self.last_event_id = parser.last_event_id
  if parser.invalid_utf8 > 0 then
    error(("the stream %s has invalid UTF-8: %q"):format(self.path, bytes), 0)
  end
end

local function request_bytes(self)
  local headers = { { "Accept", "text/event-stream" }, { "Cache-Control", "no-store" } }
  if self.last_event_id ~= "" then
    table.insert(headers, { "Last-Event-ID", self.last_event_id })
  end
  for name, value in pairs(self.options.headers or {}) do
    table.insert(headers, type(name) == "number" and value or { name, value })
  end
  return http.format_request("GET", self.path, headers, nil, self.address.authority)
end

local function new_decoder(self, ended)
  local parser = new_parser(self)
  return http_decoder.new {
    on_head = function(_, head)
      on_head(self, head)
    end,
    on_body = function(_, bytes)
      on_body(self, parser, bytes)
    end,
    on_end = function()
      ended "complete"
    end,
  }
end

--- Starts to read. What comes from a connection that was given up meanwhile is ignored.
local function read(self)
  local number = self.connection
  local function ended(ending)
    if self.connection == number then
      reconnect_later(self, ending)
    end
  end
  local decoder = new_decoder(self, ended)
  self.on_read = loop.protect(function(problem, bytes)
    if self.connection ~= number then
      return
    elseif bytes then
      decoder:feed(bytes)
    else
      ended(problem or decoder:finish())
    end
  end)
  if not self.paused then
    self.handle:read_start(self.on_read)
  end
end

connect = function(self)
  self.current_state = "connecting"
  self.on_read = nil
  local number = self.connection
  self.handle = address.connect(self.address, self.options, function(problem)
    if self.connection ~= number then
      return
    elseif problem then
      reconnect_later(self, problem)
      return
    end
    self.handle:write(request_bytes(self))
    read(self)
  end)
end

--- Opens a client; does not wait. Options: `headers`, `last_event_id`, `reconnect` (default true), `retry`
--- (seconds until a reconnect as long as the stream names no time, default 0.1), `reconnect_after` (seconds,
--- whatever the stream says), `on_event` (called instead of queueing), `receive_buffer`, `paused`.
---@param where integer|string a port, or what `address.parse` takes
---@param path string
---@param options table|nil
---@return support.EventSource
function M.open(where, path, options)
  options = options or {}
  local self = setmetatable({
    address = address.parse(where),
    path = path,
    options = options,
    retry = options.retry or 0.1,
    last_event_id = options.last_event_id or "",
    paused = options.paused,
    connection = 1,
    opened = 0,
    received = 0,
    taken_comments = 0,
    queue = {},
    first = 1,
    last = 0,
    comments = {},
    retries = {},
    heads = {},
    endings = {},
  }, EventSource)
  cleanup.add(self, EventSource.close)
  connect(self)
  return self
end

--- As `readyState`.
---@return "connecting" | "open" | "closed"
function EventSource:state()
  return self.current_state
end

local function describe(self, what)
  return function()
    return ("%s of %s (state %s%s, %d events so far, last id %q)"):format(
      what, self.path, self.current_state, self.reason and ": " .. self.reason or "", self.received, self.last_event_id)
  end
end

--- Waits for `condition`, but not longer than the client lives.
local function wait(self, condition, seconds, what)
  local result
  loop.wait_until(function()
    result = condition()
    return result or self.current_state == "closed"
  end, seconds, describe(self, what))
  if not result then
    loop.raise("the client closed before " .. describe(self, what)())
  end
  return result
end

--- Waits until the stream is open: for the `count`th time, or now.
---@param seconds number|nil
---@param count integer|nil
---@return support.EventSource self
function EventSource:wait_open(seconds, count)
  wait(self, function()
    return count and self.opened >= count or not count and self.current_state == "open"
  end, seconds, "the opening")
  return self
end

--- Waits until the client has given up for good.
---@param seconds number|nil
---@return string reason
function EventSource:wait_closed(seconds)
  loop.wait_until(function()
    return self.current_state == "closed"
  end, seconds, describe(self, "the end"))
  return self.reason
end

--- Waits until connection number `count` (default: any) has ended.
---@param count integer|nil
---@param seconds number|nil
---@return string ending
function EventSource:wait_ending(count, seconds)
  count = count or 1
  loop.wait_until(function()
    return self.endings[count]
  end, seconds, describe(self, ("ending %d"):format(count)))
  return self.endings[count]
end

local function take_first(self)
  local event = self.queue[self.first]
  if event then
    self.queue[self.first] = nil
    self.first = self.first + 1
  end
  return event
end

--- Number of events that were received and not taken yet.
---@return integer
function EventSource:pending()
  return self.last - self.first + 1
end

--- The next event, in order.
---@param seconds number|nil
---@return support.Event
function EventSource:next(seconds)
  return wait(self, function()
    return take_first(self)
  end, seconds, "the next event")
end

--- The next `count` events.
---@param count integer
---@param seconds number|nil for all of them
---@return support.Event[]
function EventSource:take(count, seconds)
  local events = {}
  wait(self, function()
    while #events < count do
      local event = take_first(self)
      if not event then
        return false
      end
      events[#events + 1] = event
    end
    return true
  end, seconds, ("%d events"):format(count))
  return events
end

--- The next event of this name; those before it are dropped.
---@param name string
---@param seconds number|nil
---@return support.Event
function EventSource:next_named(name, seconds)
  return wait(self, function()
    local event = take_first(self)
    while event and event.event ~= name do
      event = take_first(self)
    end
    return event
  end, seconds, ("the next %q event"):format(name))
end

--- The next event's data as JSON, and the event.
---@param seconds number|nil
---@return any
---@return support.Event
function EventSource:next_json(seconds)
  local event = self:next(seconds)
  local ok, value = pcall(json.decode, event.data)
  if not ok then
    loop.raise(("the data is not JSON: %s: %q"):format(value, event.data))
  end
  return value, event
end

--- The next comment that was not asked for yet.
---@param seconds number|nil
---@return string
function EventSource:next_comment(seconds)
  self.taken_comments = self.taken_comments + 1
  return wait(self, function()
    return self.comments[self.taken_comments]
  end, seconds, "the next comment")
end

--- Raises if an event is there or comes within `seconds`.
---@param seconds number
function EventSource:expect_silence(seconds)
  loop.holds(function()
    return self:pending() == 0
  end, seconds, "no further event of " .. self.path)
end

--- Loses the connection (with RST unless `politely`) and comes back as after any network error.
---@param politely boolean|nil
function EventSource:drop(politely)
  if not politely and self.handle.close_reset and not self.handle:is_closing() then
    self.handle:close_reset()
  end
  reconnect_later(self, "dropped")
end

--- Stops reading, as a client that hangs.
function EventSource:pause()
  self.paused = true
  self.handle:read_stop()
end

function EventSource:resume()
  self.paused = false
  if self.on_read and not self.handle:is_closing() then
    self.handle:read_start(self.on_read)
  end
end

function EventSource:close()
  close_for_good(self, "closed")
end

return M
