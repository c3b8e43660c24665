-- What an answer to a publication promises.

local http = require "spec.support.http"
local json = require "cjson"
local loop = require "spec.support.loop"
local server = require "spec.support.server"
local support = require "spec.durable.support"

local range = support.range

--- Sends posts over connections of their own, all before an answer is read, and gives the answers.
local function post_together(router, channel, count, headers_of)
  local connections, responses = {}, {}
  for n = 1, count do
    connections[n] = http.connect(router.port)
  end
  for n = 1, count do
    connections[n]:request("POST", "/publish/" .. channel, headers_of and headers_of(n), { n = n })
  end
  for n = 1, count do
    responses[n] = connections[n]:receive_response { seconds = 30 }
    connections[n]:close()
  end
  return responses
end

describe("a durable publication", function()
  after_each(server.stop_all)

  it("is answered when it is on disk: a kill right behind the answer loses nothing", function()
    local router = support.start()
    for n = 1, 8 do
      local answer = support.post(router, "a", { n = n })
      router:kill()
      assert.equal(201, answer.status)
      assert.is_true(answer:json().durable)
      router:abandon()
      router = support.again(router)
      assert.same(range(1, n), (support.numbers_from(router, "a", "earliest")))
    end
  end)

  it("tells its id and the number of subscribers", function()
    local router = support.start()
    local reader = support.open(router, "channels=a"):wait_open()
    local other = support.open(router, "channels=a,b"):wait_open()
    local answer = support.post(router, "a", "hello"):json()
    assert.equal(2, answer.subscribers)
    assert.equal(answer.id, reader:next().id)
    assert.equal(answer.id, other:next().id)
    assert.equal(1, support.post(router, "b", "hello"):json().subscribers)
    assert.equal("my own", support.post(router, "b", "hello", { ["Event-Id"] = "my own" }):json().id)
    assert.is_nil(answer.duplicate)
  end)

  it("shares its wait for the disk with others", function()
    local router = support.start()
    local before = support.stats(router)
    for _, answer in ipairs(post_together(router, "a", 64)) do
      assert.equal(201, answer.status)
    end
    local after = support.stats(router)
    assert.equal(64, after.stored - before.stored)
    assert.is_true(after.stored_commits - before.stored_commits < 50, "commits: " .. after.stored_commits)
    local numbers = support.numbers_from(router, "a", "earliest")
    table.sort(numbers)
    assert.same(range(1, 64), numbers)
  end)

  it("keeps its place among those that need no disk", function()
    local router = support.start [[
      sse.channel("volatile", { durable = false })
      sse.post("/mixed", function()
        local done = 0
        for n = 1, 200 do
          sse.spawn(function()
            sse.publish(n % 3 == 0 and "volatile" or "a", { data = { n = n } })
            done = done + 1
          end)
        end
        while done < 200 do sse.sleep(0.001) end
        return 204
      end)]]
    local reader = support.open(router, "channels=a,volatile"):wait_open()
    local alone = support.open(router, "channels=volatile"):wait_open()
    assert.equal(204, http.post(router.port, "/mixed", "").status)
    assert.same(range(1, 200), support.numbers(reader:take(200)))
    assert.same(range(3, 200, 3), support.numbers(alone:take(66)))
  end)

  it("may come from a filter, a pipe, a reset, a timer and while the script is loaded", function()
    local router = support.start [[
      sse.publish("early", { data = { n = 1 } })
      sse.filter("echo", function(event)
        sse.publish("echoes", { data = { n = event.data.n } })
        return true
      end)
      sse.get("/echo", function()
        return sse.subscribe { "a", filter = "echo", start = "earliest",
          on_reset = function() sse.publish("resets", { data = { n = 1 } }) end }
      end)
      sse.pipe("a", "piped", function(event) return event end)
      sse.after("10ms", function() sse.publish("timed", { data = { n = 1 } }) end)]]
    assert.same({ 1 }, (support.numbers_from(router, "early", "earliest")))
    support.fill(router, "a", 1, 3)
    local reader = require("spec.support.eventsource").open(router.port, "/echo",
      { last_event_id = "what?", reconnect = false })
    assert.same({ 1, 2, 3 }, support.numbers(reader:take(3)))
    support.fill(router, "a", 4, 6)
    assert.same({ 4, 5, 6 }, support.numbers(reader:take(3)))
    for channel, expected in pairs { echoes = range(1, 6), piped = range(1, 6), resets = { 1 }, timed = { 1 } } do
      loop.eventually(function()
        return #support.numbers_from(router, channel, "earliest") == #expected
      end, nil, channel)
      assert.same(expected, (support.numbers_from(router, channel, "earliest")))
    end
    router = support.restart(router, "kill", "")
    assert.same(range(1, 6), (support.numbers_from(router, "echoes", "earliest")))
  end)

  it("is written also when its publisher does not wait for the answer", function()
    local router = support.start()
    for n = 1, 20 do
      local connection = http.connect(router.port)
      connection:request("POST", "/publish/a", nil, { n = n })
      connection:flush()
      connection:reset()
    end
    support.post(router, "a", { n = 21 })
    local seen = {}
    for _, n in ipairs((support.numbers_from(router, "a", "earliest"))) do
      assert.is_nil(seen[n])
      seen[n] = true
    end
    assert.is_true(seen[21])
  end)

  it("is decided before a clean end", function()
    local router = support.start()
    local connections = {}
    for n = 1, 50 do
      connections[n] = http.connect(router.port)
      connections[n]:request("POST", "/publish/a", nil, { n = n })
    end
    loop.eventually(function()
      return support.stats(router).published >= 1
    end, nil, "the first to be published")
    router:kill "sigterm"
    local acknowledged = {}
    for n = 1, 50 do
      local ok, response = pcall(connections[n].receive_response, connections[n])
      if ok and response.status == 201 then
        acknowledged[#acknowledged + 1] = n
      end
    end
    assert.equal(0, (router:wait_exit()))
    router = support.again(router)
    local there = {}
    for _, n in ipairs((support.numbers_from(router, "a", "earliest"))) do
      assert.is_nil(there[n])
      there[n] = true
    end
    for _, n in ipairs(acknowledged) do
      assert.is_true(there[n], ("%d was acknowledged"):format(n))
    end
  end)
end)

describe("a relaxed channel", function()
  local relaxed = [[sse.channel("quick", { durability = "relaxed", history = 5000 })]]

  after_each(server.stop_all)

  it("acknowledges earlier, and says so", function()
    local router = support.start(relaxed)
    local answer = support.post(router, "quick", { n = 1 })
    assert.equal(201, answer.status)
    assert.is_false(answer:json().durable)
    assert.is_true(support.post(router, "a", { n = 2 }):json().durable)
  end)

  it("has its events on disk soon, and after a clean end in any case", function()
    local router = support.start(relaxed)
    support.fill(router, "quick", 1, 2500)
    router = support.restart(router)
    assert.same(range(1, 2500), (support.numbers_from(router, "quick", "earliest")))
    support.fill(router, "quick", 2501, 2600)
    support.wait_stat(router, "stored", 100)
    router = support.restart(router, "kill")
    assert.same(range(1, 2600), (support.numbers_from(router, "quick", "earliest")))
  end)

  it("loses nothing to readers whose place left memory before it was on disk", function()
    local router = support.start(relaxed .. [[
      sse.post("/burst", function(req)
        for n = tonumber(req.query.first), tonumber(req.query.last) do
          sse.publish("quick", { data = { n = n } })
        end
        return 204
      end)]])
    for first = 1, 4001, 1000 do
      http.post(router.port, ("/burst?first=%d&last=%d"):format(first, first + 999), "")
      local numbers, reset = support.numbers_from(router, "quick", "earliest")
      assert.is_nil(reset)
      assert.same(range(1, first + 999), numbers)
    end
    http.post(router.port, "/burst?first=5001&last=30000", "")
    local numbers = support.numbers_from(router, "quick", "last=4500")
    assert.same(range(25501, 30000), numbers)
  end)
end)

describe("an idempotency key", function()
  after_each(server.stop_all)

  local function keyed(key)
    return { ["Idempotency-Key"] = key }
  end

  it("gives the first answer, and publishes once", function()
    local router = support.start()
    local reader = support.open(router, "channels=a"):wait_open()
    local first = support.post(router, "a", { n = 1 }, keyed "k")
    reader:close()
    for _ = 1, 3 do
      local again = support.post(router, "a", { n = 1 }, keyed "k")
      assert.equal(200, again.status)
      assert.same({ first:json().id, 1, true, true },
        { again:json().id, again:json().subscribers, again:json().durable, again:json().duplicate })
    end
    assert.equal(201, support.post(router, "a", { n = 2 }, keyed "other").status)
    assert.equal(201, support.post(router, "b", { n = 1 }, keyed "k").status)
    assert.equal(201, support.post(router, "a", { n = 3 }, keyed "").status)
    assert.equal(201, support.post(router, "a", { n = 4 }, keyed "").status)
    assert.same(range(1, 4), (support.numbers_from(router, "a", "earliest")))
  end)

  for _, how in ipairs { "stop", "kill" } do
    it("is remembered over a " .. how .. ", also when retention has taken its event", function()
      local router = support.start [[sse.channel("tiny", { history = 2 })]]
      local first = support.post(router, "tiny", { n = 1 }, { ["Idempotency-Key"] = "k", ["Event-Id"] = "own" }):json()
      support.fill(router, "tiny", 2, 9)
      router = support.restart(router, how)
      local response = support.post(router, "tiny", { n = 1 }, keyed "k")
      assert.equal(200, response.status)
      local again = response:json()
      assert.same({ "own", first.subscribers, true }, { again.id, again.subscribers, again.duplicate })
      assert.same({ 8, 9 }, (support.numbers_from(router, "tiny", "earliest")))
    end)
  end

  it("of requests at the same time publishes one, and answers all alike", function()
    local router = support.start()
    for round = 1, 5 do
      local ids, statuses = {}, {}
      for _, answer in ipairs(post_together(router, "a", 20, function() return keyed("k" .. round) end)) do
        ids[answer:json().id] = true
        statuses[answer.status] = (statuses[answer.status] or 0) + 1
        assert.is_true(answer:json().durable)
      end
      assert.same({ [200] = 19, [201] = 1 }, statuses)
      assert.is_string(next(ids))
      assert.is_nil(next(ids, next(ids)))
      assert.equal(round, #support.numbers_from(router, "a", "earliest"))
    end
  end)

  it("works in memory and in the script as well", function()
    local router = support.start([[
      sse.post("/own", function()
        local id, _, _, duplicate = sse.publish("a", { data = { n = 1 }, idempotency_key = "x" })
        return { id = id, duplicate = duplicate }
      end)]], { database = false })
    local first = http.post(router.port, "/own", ""):json()
    local again = http.post(router.port, "/own", ""):json()
    assert.same({ id = first.id, duplicate = true }, again)
    assert.is_false(first.duplicate)
    local answer = support.post(router, "a", { n = 1 }, keyed "x")
    assert.equal(200, answer.status)
    assert.is_false(answer:json().durable)
    assert.same({ 1 }, (support.numbers_from(router, "a", "earliest")))
  end)

  it("of a batch stands for each of its lines", function()
    local router = support.start()
    local headers = { ["Idempotency-Key"] = "batch", ["Content-Type"] = "application/x-ndjson" }
    local body = '{"n":1}\n{"n":2}\n{"n":3}\n'
    local first = support.post(router, "a", body, headers):json().published
    local again = support.post(router, "a", body .. '{"n":4}\n', headers):json().published
    for index = 1, 3 do
      assert.same({ first[index].id, true }, { again[index].id, again[index].duplicate })
    end
    assert.is_nil(again[4].duplicate)
    assert.same(range(1, 4), (support.numbers_from(router, "a", "earliest")))
    assert.equal("application/json", support.post(router, "a", body, headers).headers["content-type"]:match "^[^;]*")
    assert.is_string(json.encode(first))
  end)
end)
