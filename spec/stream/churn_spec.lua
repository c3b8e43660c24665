-- Thousands of random steps: clients come, go, come back, stop reading and read on while events are published.
-- A model that knows what was published says what each of them must have received.

local seed = require "spec.support.seed"
local uv = require "luv"
local eventsource = require "spec.support.eventsource"
local feeds = require "spec.stream.feeds"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"

local names = { "a", "b", "c", "d" }
local steps = 2000
local most = 40 -- clients at the same time

--- What was published so far: numbers from 1 on, with the channel and name of each.
local function new_model()
  return { last = 0, channels = {}, kinds = {} }
end

local function publish(model, publisher)
  local events = {}
  for index = 1, math.random(1, 8) do
    local n = model.last + 1
    model.last = n
    model.channels[n], model.kinds[n] = names[math.random(#names)], math.random(2) == 1 and "odd" or "even"
    events[index] = { channel = model.channels[n], event = model.kinds[n], data = { n = n } }
  end
  publisher:request("POST", "/publish", {}, events)
end

--- What a client has asked for: its query and which events it must get.
local function random_wish()
  local wanted, list = {}, {}
  for _, name in ipairs(names) do
    if math.random(2) == 1 then
      wanted[name] = true
      list[#list + 1] = name
    end
  end
  if #list == 0 then
    wanted.a, list[1] = true, "a"
  end
  local wish = { query = "/stream?channels=" .. table.concat(list, ",") }
  local kind = math.random(3) == 1 and "odd"
  local step = math.random(3) == 1 and math.random(2, 3)
  if kind then
    wish.query = wish.query .. "&events=" .. kind
  end
  if step then
    wish.query = wish.query .. "&step=" .. step
  end
  function wish.wants(model, n)
    return wanted[model.channels[n]] and (not kind or model.kinds[n] == kind) and (not step or n % step == 0)
  end
  return wish
end

local function enter(model, router)
  local client = random_wish()
  client.numbers = {}
  client.published_before = model.confirmed
  client.source = eventsource.open(router.port, client.query, {
    reconnect_after = 0,
    on_event = function(event)
      assert(event.event ~= "reset", event.data)
      table.insert(client.numbers, feeds.numbers({ event })[1])
    end,
  })
  return client
end

--- The numbers must be all those that the client wants, from its first one to `last`; and what was published
--- after it was known to be open.
local function check(model, client, last)
  local numbers = client.numbers
  local first = numbers[1] or last + 1
  assert.is_true(numbers[1] == nil or first > client.published_before, "an event from before the client came")
  local index = 0
  for n = math.min(first, client.open_since and client.open_since + 1 or first), last do
    if client.wants(model, n) then
      index = index + 1
      if numbers[index] ~= n then
        error(("%s has %s in the place of %d"):format(client.query, numbers[index], n), 0)
      end
    end
  end
  assert.equal(index, #numbers, client.query)
end

local actions = {}

function actions.leave(clients, model)
  local client = table.remove(clients, math.random(#clients))
  if client.source.paused then
    client.source:resume()
  end
  local last = client.numbers[#client.numbers] or 0
  check(model, client, last)
  client.source:drop(math.random(2) == 1)
  client.source:close()
end

function actions.come_back(clients)
  local client = clients[math.random(#clients)]
  -- Without an id there is nothing to come back to.
  if client.source:state() == "open" and client.source.last_event_id ~= "" then
    client.source:drop(math.random(2) == 1)
  end
end

function actions.pause(clients)
  local client = clients[math.random(#clients)]
  if client.source:state() == "open" and not client.source.paused then
    client.source:pause()
  end
end

function actions.resume(clients)
  for _, client in ipairs(clients) do
    if client.source.paused then
      client.source:resume()
    end
  end
end

local kinds_of_action = { "leave", "leave", "come_back", "come_back", "pause", "resume" }

--- Notes which clients are open, and that everything published was answered.
local function synchronize(model, publisher, clients)
  while model.unanswered > 0 do
    assert(publisher:receive_response().status == 200)
    model.unanswered = model.unanswered - 1
  end
  model.confirmed = model.last
  for _, client in ipairs(clients) do
    if client.source.opened > 0 and not client.open_since then
      client.open_since = model.last
    end
  end
end

local function step(model, router, publisher, clients)
  local dice = math.random(10)
  if dice <= 5 then
    publish(model, publisher)
    model.unanswered = model.unanswered + 1
  elseif dice <= 7 and #clients < most or #clients < 5 then
    clients[#clients + 1] = enter(model, router)
  else
    actions[kinds_of_action[math.random(#kinds_of_action)]](clients, model)
  end
  uv.run "nowait"
  loop.raise_failure()
  if math.random(20) == 1 then
    synchronize(model, publisher, clients)
  end
end

local function finish(model, publisher, clients)
  synchronize(model, publisher, clients)
  actions.resume(clients)
  for _, client in ipairs(clients) do
    client.source:wait_open()
  end
  synchronize(model, publisher, clients)
  -- One more event for everybody, so that the end can be awaited.
  local events = {}
  for index = 1, 24 do
    local n = model.last + index
    model.channels[n], model.kinds[n] = names[(index - 1) // 6 + 1], "odd"
    events[index] = { channel = model.channels[n], event = "odd", data = { n = n } }
  end
  model.last = model.last + 24
  publisher:request("POST", "/publish", {}, events)
  assert(publisher:receive_response().status == 200)
  for _, client in ipairs(clients) do
    local last = model.last
    while not client.wants(model, last) do
      last = last - 1
    end
    loop.wait_until(function()
      return client.numbers[#client.numbers] == last
    end, nil, ("event %d for %s"):format(last, client.query))
    check(model, client, model.last)
  end
end

describe("clients that come and go at random", function()
  after_each(server.stop_all)

  for _, threads in ipairs { 0, 2 } do
    it(("miss nothing and get nothing twice, with %d threads"):format(threads), function()
      seed("churn", threads)
      local declared = {}
      for index, name in ipairs(names) do
        declared[index] = ("sse.channel(%q, { history = 100000 })"):format(name)
      end
      local router = feeds.start(table.concat(declared, "\n"), { threads = threads })
      local publisher = http.connect(router.port)
      local model, clients = new_model(), {}
      model.unanswered, model.confirmed = 0, 0
      for _ = 1, steps do
        step(model, router, publisher, clients)
      end
      finish(model, publisher, clients)
      for _, client in ipairs(clients) do
        client.source:close()
      end
      for _, name in ipairs(names) do
        feeds.wait_subscribers(router, name, 0)
      end
    end)
  end
end)
