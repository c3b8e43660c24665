-- The router is killed at random moments while publishers publish and subscribers come back again and again. What was
-- acknowledged must reach every subscriber, once and in order.

local eventsource = require "spec.support.eventsource"
local files = require "spec.support.files"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"

local SUBSCRIBERS = 200
local PUBLISHERS = 8
local kills = os.getenv "SSE_ROUTER_ALL" and 50 or 3
local seed = tonumber(os.getenv "SEED") or os.time()

local script = [[
  local sse = require "sse"
  sse.store("sqlite:" .. os.getenv "DATABASE")
  sse.channel("numbers", { history = 1000000 })
  sse.publisher "/publish/:channel"
  sse.get("/numbers", function() return sse.subscribe { "numbers", retry = "50ms" } end)
]]

--- A router on the same database and, from the second start on, the same port.
local function start(state)
  state.router = server.start(script, {
    env = { DATABASE = state.database },
    listen = ("127.0.0.1:%d"):format(state.port or 0),
  })
  state.port = state.router.port
end

--- Subscribers that note the numbers they hear and check that ids only grow.
local function subscribe(state)
  local clients = {}
  for index = 1, SUBSCRIBERS do
    local heard = { numbers = {}, last = 0, count = 0 }
    heard.client = eventsource.open(state.port, "/numbers?last_event_id=earliest", {
      on_event = function(event)
        local sequence = math.tointeger(event.id:match "%-(%d+)$")
        local number = math.tointeger(event.data)
        if event.event == "reset" then
          heard.problem = heard.problem or "was reset: " .. event.data
        elseif sequence <= heard.last then
          heard.problem = heard.problem or ("%s came after %d"):format(event.id, heard.last)
        elseif heard.numbers[number] then
          heard.problem = heard.problem or ("number %d came twice"):format(number)
        end
        heard.last, heard.numbers[number], heard.count = sequence, true, heard.count + 1
      end,
    })
    clients[index] = heard
  end
  for _, heard in ipairs(clients) do
    heard.client:wait_open()
  end
  return clients
end

--- Publishes these numbers at once, each on a connection of its own. Gives those that were not acknowledged.
local function publish(state, numbers)
  local connections, left = {}, {}
  for _, number in ipairs(numbers) do
    local connection = http.try_connect(state.port)
    if connection then
      connection:request("POST", "/publish/numbers", { ["Idempotency-Key"] = "n" .. number }, tostring(number))
    end
    connections[number] = connection
  end
  for _, number in ipairs(numbers) do
    local ok, response = pcall(function()
      return connections[number]:receive_response { seconds = 5 }
    end)
    if ok and (response.status == 201 or response.status == 200) then
      state.acknowledged[number] = response:json().id
    else
      left[#left + 1] = number
    end
    if connections[number] then
      connections[number]:close()
    end
  end
  return left
end

local function publish_round(state, rounds)
  for _ = 1, rounds do
    local numbers = {}
    for index = 1, PUBLISHERS do
      numbers[index] = state.next + index
    end
    state.next = state.next + PUBLISHERS
    while #numbers > 0 do
      numbers = publish(state, numbers)
      if not state.router:running() then
        state.router:wait_exit()
        start(state)
      end
    end
  end
end

describe("a router that is killed", function()
  after_each(server.stop_all)

  it(("%d times loses and doubles nothing that it acknowledged"):format(kills), function()
    print(("[kill SEED=%d]"):format(seed))
    math.randomseed(seed)
    local state = { database = files.directory {} .. "/feeds.db", acknowledged = {}, next = 0 }
    start(state)
    local clients = subscribe(state)
    for _ = 1, kills do
      local victim = state.router
      loop.after(math.random() * 0.3, function()
        victim:kill "sigkill"
      end)
      repeat
        publish_round(state, 1)
      until state.router ~= victim
    end
    publish_round(state, 3)
    local total = 0
    for _ in pairs(state.acknowledged) do
      total = total + 1
    end
    assert.equal(state.next, total)
    for index, heard in ipairs(clients) do
      loop.wait_until(function()
        return heard.count >= total or heard.problem
      end, 30, ("subscriber %d to hear all"):format(index))
      assert.is_nil(heard.problem, ("subscriber %d: %s"):format(index, heard.problem or ""))
      for number in pairs(state.acknowledged) do
        assert.is_true(heard.numbers[number], ("subscriber %d missed %d"):format(index, number))
      end
      assert.equal(total, heard.count)
    end
    for _, heard in ipairs(clients) do
      heard.client:close()
    end
  end)
end)
