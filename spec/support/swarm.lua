-- Many event-stream subscribers in one process, each as small as can be: no queue, no reconnect; events
-- are counted and their order is checked as they arrive. What the server does wrong fails the spec.

local uv = require "luv"
local address = require "spec.support.address"
local cleanup = require "spec.support.cleanup"
local event_stream = require "spec.support.event_stream"
local files = require "spec.support.files"
local http = require "spec.support.http"
local http_decoder = require "spec.support.http_decoder"
local loop = require "spec.support.loop"
local process = require "spec.support.process"

local M = {}

---@class support.Swarm
---@field count integer clients in all
---@field opened integer clients whose stream has been opened
---@field ended integer clients whose stream the server has ended
---@field total integer events received by all
---@field counts integer[] events received by each
---@field endings table<string, integer> how streams ended: "complete", "truncated", an error's name
local Swarm = {}
Swarm.__index = Swarm

--- One subscriber; handler of its HTTP decoder and of its stream parser.
local Client = {}
Client.__index = Client

--- The number that must grow with each event: by default the digits at the end of its id, if any.
local function sequence_of(event)
  return tonumber(event.id:match "(%d+)$")
end

local function fail(client, message)
  loop.fail(("subscriber %d of %s: %s"):format(client.index, client.path, message))
end

local function end_client(client, ending)
  local swarm = client.swarm
  if client.ended then
    return
  end
  client.ended = true
  swarm.ended = swarm.ended + 1
  swarm.endings[ending] = (swarm.endings[ending] or 0) + 1
  loop.close(client.handle)
end

function Client:on_head(head)
  local content_type = head.headers["content-type"] or "none"
  if head.status ~= 200 or not content_type:find "^text/event%-stream%f[\0; ]" then
    fail(self, ("status %d, content type %s"):format(head.status, content_type))
  end
  self.swarm.opened = self.swarm.opened + 1
  self.swarm:connect_next()
end

function Client:on_body(bytes)
  self.parser:feed(bytes)
  if self.parser.invalid_utf8 > 0 then
    fail(self, "invalid UTF-8")
  end
end

function Client:on_end()
  end_client(self, "complete")
end

function Client:on_event(event)
  local swarm, index = self.swarm, self.index
  swarm.total = swarm.total + 1
  swarm.counts[index] = swarm.counts[index] + 1
  local number = swarm.order(event)
  if number and self.number and number <= self.number then
    fail(self, ("event %s after %s"):format(number, self.number))
  end
  self.number = number or self.number
  if swarm.on_event then
    swarm.on_event(index, event)
  end
end

local function start_reading(client)
  client.decoder = http_decoder.new(client)
  client.parser = event_stream.new(client)
  client.handle:read_start(loop.protect(function(problem, bytes)
    if bytes then
      client.decoder:feed(bytes)
    else
      end_client(client, problem or client.decoder:finish())
    end
  end))
end

local function connect(swarm, index)
  local path = type(swarm.path) == "function" and swarm.path(index) or swarm.path
  local client = setmetatable({ swarm = swarm, index = index, path = path }, Client)
  swarm.clients[index] = client
  client.handle = address.connect(swarm.address, swarm.options, function(problem)
    if problem then
      fail(client, "cannot connect: " .. problem)
      end_client(client, problem)
      return
    end
    local headers = swarm.options.headers or { Accept = "text/event-stream" }
    client.handle:write(http.format_request("GET", path, headers, nil, swarm.address.authority))
    start_reading(client)
  end)
end

--- Lets this process have as many descriptors as the system allows. Servers that are already running keep
--- the limit they have.
local function raise_descriptor_limit(needed)
  local soft, hard = files.read("/proc/self/limits"):match "Max open files%s+(%d+)%s+(%d+)"
  if tonumber(hard) < needed then
    loop.raise(("%d descriptors are needed, the system allows %s"):format(needed, hard))
  elseif tonumber(soft) < needed then
    process.run { "prlimit", "--pid", tostring(uv.getpid()), ("--nofile=%s:%s"):format(hard, hard) }
  end
end

--- Opens `count` subscribers; does not wait. Options: `headers`, `on_event(index, event)`, `order` (event ->
--- number that must grow, or nil; default: the digits at the end of the id), `at_once` (connections being
--- opened at the same time, default 100), `receive_buffer`.
---@param where integer|string a port, or what `address.parse` takes
---@param path string|fun(index: integer): string
---@param count integer
---@param options table|nil
---@return support.Swarm
function M.open(where, path, count, options)
  options = options or {}
  raise_descriptor_limit(count + 200)
  local self = setmetatable({
    address = address.parse(where),
    path = path,
    count = count,
    options = options,
    order = options.order or sequence_of,
    on_event = options.on_event,
    clients = {},
    counts = {},
    endings = {},
    opened = 0,
    ended = 0,
    total = 0,
  }, Swarm)
  for index = 1, count do
    self.counts[index] = 0
  end
  cleanup.add(self, Swarm.close_all)
  for _ = 1, options.at_once or 100 do
    self:connect_next()
  end
  return self
end

--- Starts one more client, if any is left and the swarm was not closed.
function Swarm:connect_next()
  local index = #self.clients + 1
  if index <= self.count and not self.closed then
    connect(self, index)
  end
end

---@param seconds number|nil
---@return support.Swarm self
function Swarm:wait_open_all(seconds)
  loop.wait_until(function()
    return self.opened == self.count
  end, seconds, function()
    return ("%d streams to open; %d have"):format(self.count, self.opened)
  end)
  return self
end

local function everyone_has(self, events)
  if self.total < events * self.count then
    return false
  end
  for index = 1, self.count do
    if self.counts[index] < events then
      return false
    end
  end
  return true
end

--- Waits until each client has received at least `events` events.
---@param events integer
---@param seconds number|nil
function Swarm:wait_events(events, seconds)
  loop.wait_until(function()
    return everyone_has(self, events)
  end, seconds, function()
    return ("%d events for each of %d clients; %d came in all"):format(events, self.count, self.total)
  end)
end

--- Waits until the server has ended all streams.
---@param seconds number|nil
function Swarm:wait_ended_all(seconds)
  loop.wait_until(function()
    return self.ended == self.count
  end, seconds, function()
    return ("%d streams to end; %d have"):format(self.count, self.ended)
  end)
end

--- Closes all clients, with RST if `abruptly`, and waits until their descriptors are gone.
---@param abruptly boolean|nil
function Swarm:close_all(abruptly)
  cleanup.remove(self)
  self.closed = true
  local left = 0
  local function gone()
    left = left - 1
  end
  for _, client in ipairs(self.clients) do
    client.ended = true
    if not client.handle:is_closing() then
      left = left + 1
      if abruptly == true and client.handle.close_reset then
        client.handle:close_reset(gone)
      else
        client.handle:close(gone)
      end
    end
  end
  loop.wait_until(function()
    return left == 0
  end, nil, "the sockets to close")
end

return M
