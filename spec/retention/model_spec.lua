-- Random publishing, deleting and resuming, held against a simple model of what the logs keep.

local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local server = require "spec.support.server"

local HISTORY = 20
local seed = tonumber(os.getenv "SEED") or os.time()
local steps = os.getenv "SSE_ROUTER_ALL" and 20000 or 3000

local script = ([[
  local sse = require "sse"
  local plain = sse.channel("plain", { history = %d })
  local keyed = sse.channel("keyed", { key = "key", history = %d })
  sse.post("/plain", function(req) return { id = plain:publish { data = { n = tonumber(req.body) } } } end)
  sse.post("/keyed/:key", function(req)
    return { id = keyed:publish { data = { n = tonumber(req.body), key = req.params.key } } }
  end)
  sse.delete("/keyed/:key", function(req) return { id = keyed:delete(req.params.key) } end)
  sse.get("/stream", function(req) return sse.subscribe { channels = sse.split(req.query.channels) } end)
]]):format(HISTORY, HISTORY)

--- What the logs hold, in the plainest way: all events that are kept, in order.
local Model = {}
Model.__index = Model

function Model.new()
  return setmetatable({ events = {}, ids = {}, evicted = { plain = 0, keyed = 0 } }, Model)
end

local function sequence_of(id)
  return math.tointeger(id:match "%-(%d+)$")
end

--- Removes the first event that `matches`; gives its sequence.
function Model:remove(matches)
  for index, event in ipairs(self.events) do
    if matches(event) then
      table.remove(self.events, index)
      return event.sequence
    end
  end
end

function Model:count(matches)
  local count = 0
  for _, event in ipairs(self.events) do
    count = count + (matches(event) and 1 or 0)
  end
  return count
end

function Model:publish(channel, id, fields)
  local event = { channel = channel, id = id, sequence = sequence_of(id), key = fields.key, gone = fields.gone }
  self.ids[#self.ids + 1] = id
  if channel == "keyed" then
    self:remove(function(other) return other.key == fields.key end)
  end
  table.insert(self.events, event)
  local function is_counted(other)
    return other.channel == channel and (channel == "plain" or other.gone)
  end
  if self:count(is_counted) > HISTORY then
    self.evicted[channel] = self:remove(is_counted)
  end
end

function Model:has(key)
  return self:count(function(event) return event.key == key and not event.gone end) > 0
end

--- What a client gets that resumes over the channels: whether it is reset, and the ids of the events.
function Model:resume(id, channels)
  local after, reset, ids = sequence_of(id), false, {}
  for _, channel in ipairs(channels) do
    reset = reset or self.evicted[channel] > after
  end
  for _, event in ipairs(self.events) do
    for _, channel in ipairs(channels) do
      if event.channel == channel and (reset or event.sequence > after) then
        ids[#ids + 1] = event.id
      end
    end
  end
  return reset, ids
end

describe("logs", function()
  after_each(server.stop_all)

  it(("are what a simple model says, over %d random steps"):format(steps), function()
    print(("[model SEED=%d]"):format(seed))
    math.randomseed(seed)
    local router, model = server.start(script), Model.new()
    local connection = http.connect(router.port)
    local function request(method, path, body)
      connection:request(method, path, nil, body)
      return connection:receive_response():json()
    end
    local actions = {
      function(step) model:publish("plain", request("POST", "/plain", tostring(step)).id, {}) end,
      function(step)
        local key = "k" .. math.random(60)
        model:publish("keyed", request("POST", "/keyed/" .. key, tostring(step)).id, { key = key })
      end,
      function()
        local key = "k" .. math.random(60)
        local id = request("DELETE", "/keyed/" .. key).id
        assert.equal(model:has(key), id ~= nil)
        if id then
          model:publish("keyed", id, { key = key, gone = true })
        end
      end,
      function()
        local id = model.ids[math.max(1, #model.ids - math.random(60))]
        local sets = { { "plain" }, { "keyed" }, { "plain", "keyed" } }
        local channels = sets[math.random(3)]
        local reset, ids = model:resume(id or "x-0", channels)
        if not id then
          return
        end
        local client = eventsource.open(router.port, "/stream?channels=" .. table.concat(channels, ","), {
          last_event_id = id, reconnect = false,
        })
        client:wait_open()
        if reset then
          assert.equal("reset", client:next().event)
        end
        for _, expected in ipairs(ids) do
          assert.equal(expected, client:next().id)
        end
        assert.equal(0, client:pending())
        client:close()
      end,
    }
    for step = 1, steps do
      local roll = math.random(100)
      actions[roll <= 45 and 1 or roll <= 80 and 2 or roll <= 92 and 3 or 4](step)
    end
    connection:close()
  end)
end)
