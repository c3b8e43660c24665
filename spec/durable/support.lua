-- A router that keeps its logs in a database, and what the specs ask of it.

local json = require "cjson"
local eventsource = require "spec.support.eventsource"
local files = require "spec.support.files"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"

local M = {}

local script = [[
local sse = require "sse"
local database = os.getenv "DATABASE"
if database then
  sse.store("sqlite:" .. database, { default = os.getenv "DURABLE" ~= "asked" })
end

sse.filter("every", function(event, step)
  return event.data.n % step == 0
end)

sse.channel("mark", { history = 0, durable = false })
sse.publisher "/publish/:channel"

sse.get("/stream", function(req)
  local query = req.query
  return sse.subscribe {
    channels = sse.split(query.channels),
    events = query.events and sse.split(query.events),
    filter = query.step and { "every", tonumber(query.step) },
    start = query.start,
    retry = "100ms",
  }
end)

sse.post("/delete/:channel", function(req)
  local id, subscribers, durable = sse.channel(req.params.channel, { key = "k" }):delete(req.query.key)
  return { id = id, subscribers = subscribers, durable = durable }
end)

sse.get("/stats", function()
  return sse.stats()
end)
]]

--- Starts a router with the script, channels and routes of `more` behind it.
--- Options: `database` (a path; false for none; default: a new one), `durable` ("asked": only channels that
--- say so), and those of `server.start`.
---@param more string|nil
---@param options table|nil
---@return support.Server router with `database`
function M.start(more, options)
  options = options or {}
  local database = options.database
  if database == nil then
    database = files.directory() .. "/feeds.db"
  end
  options.env = options.env or {}
  options.env.DATABASE = database
  options.env.DURABLE = options.durable or false
  local router = server.start(script .. (more or ""), options)
  router.database = database
  router.more, router.options = more, options
  return router
end

--- Starts a router again with the database of one that has ended.
---@param router support.Server
---@param more string|nil default: as before
---@param options table|nil
---@return support.Server
function M.again(router, more, options)
  options = options or {}
  options.database = router.database
  options.durable = options.durable or router.options.durable
  return M.start(more or router.more, options)
end

--- Ends the router, cleanly unless `how` is "kill", and starts it again.
---@param router support.Server
---@param how "stop"|"kill"|nil
---@param more string|nil
---@return support.Server
function M.restart(router, how, more)
  if how == "kill" then
    router:kill()
    router:abandon()
  else
    router:stop()
  end
  return M.again(router, more)
end

--- One POST to the ready-made endpoint.
---@param router support.Server
---@param channel string
---@param body string|table
---@param headers table|nil
---@return support.Response
function M.post(router, channel, body, headers)
  return http.post(router.port, "/publish/" .. channel, body, headers, { seconds = 30 })
end

local function check(response, what)
  if response.status >= 300 then
    loop.raise(("%s: %d %s"):format(what, response.status, response.body))
  end
  return response
end

--- Publishes events and gives their answers.
---@param router support.Server
---@param channel string
---@param events table[] with `data` and, if need be, `event`, `id`, `key`
---@return table[]
function M.publish(router, channel, events)
  local lines = {}
  for index, event in ipairs(events) do
    lines[index] = json.encode(event)
  end
  local body = table.concat(lines, "\n")
  local response = check(M.post(router, channel, body, { ["Content-Type"] = "application/x-ndjson" }), channel)
  return response:json().published
end

--- Publishes the numbers `first` to `last`, with `size` more bytes each, and gives their ids.
---@param router support.Server
---@param channel string
---@param first integer
---@param last integer
---@param size integer|nil
---@return string[] ids by number
function M.fill(router, channel, first, last, size)
  local ids = {}
  local pad = size and ("x"):rep(size) or nil
  local portion = math.max(1, math.min(1000, 500000 // ((size or 0) + 60)))
  for from = first, last, portion do
    local events = {}
    for n = from, math.min(last, from + portion - 1) do
      events[#events + 1] = { data = { n = n, pad = pad } }
    end
    for index, answer in ipairs(M.publish(router, channel, events)) do
      ids[from + index - 1] = answer.id
    end
  end
  return ids
end

--- Opens a stream. Options: as for eventsource.open; it does not come back by itself.
---@param router support.Server
---@param query string "channels=a,b&..."
---@param id string|nil
---@param options table|nil
---@return support.EventSource
function M.open(router, query, id, options)
  options = options or {}
  options.reconnect = options.reconnect or false
  options.last_event_id = id
  return eventsource.open(router.port, "/stream?" .. query, options)
end

local marks = 0

--- The events of a stream from its start until now, which its channel "mark" says. A reset that comes first
--- is the second result.
---@param router support.Server
---@param reader support.EventSource
---@return support.Event[]
---@return table|nil reset
function M.until_now(router, reader)
  reader:wait_open()
  marks = marks + 1
  M.publish(router, "mark", { { event = "now", data = { n = 0, mark = marks } } })
  local events, reset = {}, nil
  local event = reader:next(30)
  while event.event ~= "now" do
    if event.event == "reset" then
      assert(#events == 0 and not reset, "a reset comes first, and once")
      reset = json.decode(event.data)
    else
      events[#events + 1] = event
    end
    event = reader:next(30)
  end
  reader:close()
  return events, reset
end

--- Reads a stream to this moment: its numbers, and the reset that comes first.
---@param router support.Server
---@param channels string "a,b"
---@param id string|nil the starting point
---@param more string|nil of the query
---@return integer[]
---@return table|nil reset
function M.numbers_from(router, channels, id, more)
  local reader = M.open(router, "channels=" .. channels .. ",mark" .. (more or ""), id)
  local events, reset = M.until_now(router, reader)
  return M.numbers(events), reset
end

---@param events support.Event[]
---@return integer[]
function M.numbers(events)
  local numbers = {}
  for index, event in ipairs(events) do
    numbers[index] = tonumber(event.data:match '"n":(%-?%d+)')
  end
  return numbers
end

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

---@param router support.Server
---@return table
function M.stats(router)
  return http.get(router.port, "/stats"):json()
end

--- Waits until a counter is at least so high.
---@param router support.Server
---@param name string
---@param value integer
function M.wait_stat(router, name, value)
  loop.eventually(function()
    return M.stats(router)[name] >= value
  end, nil, ("%s to be %d"):format(name, value))
end

--- A seed for what is random: of the environment, or new. Printed, so that a failure can be repeated.
---@param what string
---@return integer
function M.seed(what)
  local seed = tonumber(os.getenv "SEED") or os.time()
  io.write(("[%s SEED=%d]"):format(what, seed))
  math.randomseed(seed)
  return seed
end

return M
