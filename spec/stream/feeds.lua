-- The script that the specs of streams run, and what they ask of it. Channels "a", "b", ... are there as soon
-- as somebody names them; a spec declares those that need options.

local files = require "spec.support.files"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"

local M = {}

local script = [[
local sse = require "sse"

local function number(text)
  return text and tonumber(text)
end

sse.filter("every", function(event, step, rest)
  return event.data.n % step == rest
end)

local function subscription(req)
  local query = req.query
  return {
    channels = sse.split(query.channels),
    events = query.events and sse.split(query.events),
    filter = query.step and { "every", number(query.step), number(query.rest) or 0 },
    history = number(query.history),
    start = query.start,
    retry = query.retry,
    heartbeat = number(query.heartbeat) or query.heartbeat,
  }
end

sse.get("/stream", function(req)
  return sse.subscribe(subscription(req))
end)

-- A JSON list of events, each with its channel.
sse.post("/publish", function(req)
  local ids = sse.array {}
  for index, event in ipairs(req:json()) do
    local channel = event.channel
    event.channel = nil
    ids[index] = sse.publish(channel, event)
  end
  return ids
end)

-- ?count=&from=: so many events in one loop, the channels in turn; data is { n, channel, pad }.
sse.post("/burst", function(req)
  local query = req.query
  local names = sse.split(query.channels)
  local first, count = number(query.from) or 1, number(query.count)
  local pad = query.size and ("x"):rep(number(query.size)) or nil
  for n = first, first + count - 1 do
    local name = names[n % #names + 1]
    sse.publish(name, { data = { n = n, channel = name, pad = pad } })
  end
  return 204
end)

sse.get("/busy", function(req)
  local from, seconds = os.clock(), number(req.query.seconds)
  while os.clock() - from < seconds do end
  return 204
end)

sse.get("/subscribers/:channel", function(req)
  for _, channel in ipairs(require "sse.core".channels()) do
    if channel.name == req.params.channel then return { count = channel.subscribers } end
  end
  return { count = 0 }
end)

sse.get("/stats", function()
  return sse.stats()
end)

]]

--- Starts the binary with the script and `more` behind it. Options: as for `server.start`.
---@param more string|nil
---@param options table|nil
---@return support.Server
function M.start(more, options)
  options = options or {}
  options.seconds = 30
  return server.start(script .. (more or ""), options)
end

---@param router support.Server
---@param path string
---@param body table|nil
---@return support.Response
local function post(router, path, body)
  local response = http.post(router.port, path, body, nil, { seconds = 30 })
  if response.status >= 300 then
    loop.raise(("%s: %d %s"):format(path, response.status, response.body))
  end
  return response
end

--- Publishes events, each with `channel` beside the usual fields, and gives their ids.
---@param router support.Server
---@param events table[]
---@return string[]
function M.publish(router, events)
  return post(router, "/publish", events):json()
end

--- Publishes `count` events in one Lua loop, the channels in turn, their numbers from `from` (default 1) on;
--- `size` bytes are added to each.
---@param router support.Server
---@param channels string "a,b"
---@param count integer
---@param from integer|nil
---@param size integer|nil
function M.burst(router, channels, count, from, size)
  post(router, ("/burst?channels=%s&count=%d&from=%d%s"):format(
    channels, count, from or 1, size and "&size=" .. size or ""))
end

---@param router support.Server
---@param channel string
---@return integer
function M.subscribers(router, channel)
  return http.get(router.port, "/subscribers/" .. channel):json().count
end

--- Waits until the channel has exactly `count` subscribers.
---@param router support.Server
---@param channel string
---@param count integer
---@param seconds number|nil
function M.wait_subscribers(router, channel, count, seconds)
  local deadline = loop.now() + loop.limit(seconds)
  local found = M.subscribers(router, channel)
  while found ~= count do
    if loop.now() > deadline then
      loop.raise(("channel %s has %d subscribers, not %d"):format(channel, found, count))
    end
    found = M.subscribers(router, channel)
  end
end

--- What the process has in memory of its own, in bytes. Pages shared with others are not counted, since their share
--- moves. Nil under a sanitizer, which keeps freed memory back.
---@param router support.Server
---@return integer|nil
function M.memory(router)
  local maps = files.read(("/proc/%d/maps"):format(router.pid))
  local status = files.read(("/proc/%d/status"):format(router.pid))
  return not maps:find "lib[at]san" and tonumber(status:match "RssAnon:%s*(%d+)") * 1024 or nil
end

--- The data of events of `burst` as a list of their numbers.
---@param events support.Event[]
---@return integer[]
function M.numbers(events)
  local numbers = {}
  for index, event in ipairs(events) do
    numbers[index] = tonumber(event.data:match '"n":(%d+)')
  end
  return numbers
end

--- The numbers from `first` to `last`.
---@param first integer
---@param last integer
---@param step integer|nil
---@return integer[]
function M.range(first, last, step)
  local numbers = {}
  for n = first, last, step or 1 do
    numbers[#numbers + 1] = n
  end
  return numbers
end

return M
