-- What a log in a database is after the router's end, clean or not.

local eventsource = require "spec.support.eventsource"
local json = require "cjson"
local server = require "spec.support.server"
local support = require "spec.durable.support"

local range = support.range

describe("a durable log", function()
  after_each(server.stop_all)

  for _, how in ipairs { "stop", "kill" } do
    it("goes on with its epoch and its events after a " .. how, function()
      local router = support.start()
      local ids = support.fill(router, "a", 1, 30)
      for life = 1, 3 do
        router = support.restart(router, how)
        local more = support.fill(router, "a", 20 * life + 11, 20 * life + 30)
        table.move(more, 20 * life + 11, 20 * life + 30, 20 * life + 11, ids)
        assert.equal(ids[1]:match "^(.*)-", ids[#ids]:match "^(.*)-", "one epoch for all lives")
        for _, at in ipairs { 1, 29, 30, 31, #ids - 1 } do
          local numbers, reset = support.numbers_from(router, "a", ids[at])
          assert.same(range(at + 1, #ids), numbers)
          assert.is_nil(reset)
        end
      end
    end)
  end

  it("gives no sequence twice, whatever the end was", function()
    local router = support.start()
    local last = 0
    for life = 1, 6 do
      for _, id in ipairs(support.fill(router, "a", 1, 5)) do
        local sequence = tonumber(id:match "%d+$")
        assert.is_true(sequence > last, id)
        last = sequence
      end
      router = support.restart(router, life % 2 == 0 and "stop" or "kill")
    end
  end)

  it("lets an EventSource go on over a restart by itself", function()
    local router = support.start()
    local address = ("127.0.0.1:%d"):format(router.port)
    local reader = eventsource.open(router.port, "/stream?channels=a,b"):wait_open()
    -- A client that has not had an event has no id to go on from.
    support.fill(router, "a", 0, 0)
    assert.same({ 0 }, support.numbers { reader:next() })
    for life = 0, 4 do
      support.fill(router, life % 2 == 0 and "a" or "b", 10 * life + 1, 10 * life + 10)
      router:kill(life % 2 == 0 and "sigkill" or "sigterm")
      router:wait_exit()
      router = support.again(router, nil, { listen = address })
      reader:wait_open(nil, life + 2)
    end
    support.fill(router, "a", 51, 60)
    assert.same(range(1, 60), support.numbers(reader:take(60)))
    reader:expect_silence(0.1)
  end)

  it("has its channels back before anybody names them, also for patterns", function()
    local router = support.start()
    local id = support.fill(router, "rooms.1", 1, 3)[1]
    support.fill(router, "rooms.2", 4, 6)
    router = support.restart(router, "kill")
    assert.equal(3, support.stats(router).channels)
    local reader = support.open(router, "channels=rooms.*,mark", id)
    local events, reset = support.until_now(router, reader)
    assert.same(range(2, 6), support.numbers(events))
    assert.is_nil(reset)
  end)

  it("keeps every field of an event", function()
    local router = support.start([[sse.channel("keyed", { key = "k" })
      sse.post("/odd", function()
        sse.publish("a", { data = "one\r\ntwo\rthree\n", event = "odd", id = "my id", retry = "7s" })
        sse.publish("a", { data = "", event = "empty" })
        sse.publish("a", { data = "nul \0 and ünïcode", meta = { secret = 1 } })
        sse.publish("a", "plain text")
        sse.publish("keyed", { data = { x = 1 }, key = "k1" })
        return 204
      end)
      sse.filter("secret", function(event) return event.meta and event.meta.secret == 1 end)
      sse.get("/secret", function() return sse.subscribe { "a", filter = "secret", start = "earliest" } end)]])
    require("spec.support.http").post(router.port, "/odd", "")
    for _ = 1, 2 do
      local reader = support.open(router, "channels=a,keyed&start=earliest")
      local events = reader:take(5)
      assert.same({ "odd", "one\ntwo\nthree\n", "my id" }, { events[1].event, events[1].data, events[1].id })
      assert.same({ "empty", "" }, { events[2].event, events[2].data })
      assert.same({ "message", "nul \0 and ünïcode" }, { events[3].event, events[3].data })
      assert.equal("plain text", events[4].data)
      assert.same({ x = 1 }, json.decode(events[5].data))
      assert.same({ 100, 7000 }, reader.retries)
      reader:close()
      local secret = eventsource.open(router.port, "/secret", { reconnect = false })
      assert.equal("nul \0 and ünïcode", secret:next().data)
      secret:close()
      router = support.restart(router, "kill")
    end
  end)

  it("recognises ids as before: from the future, of another file, of no shape", function()
    local router = support.start()
    local ids = support.fill(router, "a", 1, 5)
    local epoch = ids[1]:match "^(.*)-"
    for _ = 1, 2 do
      for id, reason in pairs { [epoch .. "-999999999"] = "unknown", ["zzzz-3"] = "epoch", ["what?"] = "unknown" } do
        local numbers, reset = support.numbers_from(router, "a", id)
        assert.same(range(1, 5), numbers)
        assert.same({ reason, id, ids[1] }, { reset.reason, reset.requested, reset.oldest })
      end
      router = support.restart(router)
    end
  end)

  it("resumes by own ids", function()
    local router = support.start()
    local function own(first, last)
      local events = {}
      for n = first, last do
        events[#events + 1] = { data = { n = n }, id = ("row %d"):format(n) }
      end
      support.publish(router, "a", events)
    end
    own(1, 10)
    router = support.restart(router)
    own(11, 20)
    assert.same(range(6, 20), (support.numbers_from(router, "a", "row 5")))
    assert.same(range(16, 20), (support.numbers_from(router, "a", "row 15")))
    local _, reset = support.numbers_from(router, "a", "row 99")
    assert.equal("unknown", reset.reason)
  end)

  it("tells of the loss of channels that are in memory alone", function()
    local router = support.start [[sse.channel("volatile", { durable = false })]]
    local id = support.fill(router, "volatile", 1, 5)[3]
    support.fill(router, "a", 6, 6)
    router = support.restart(router)
    local numbers, reset = support.numbers_from(router, "volatile", id)
    assert.same({}, numbers)
    assert.equal("evicted", reset.reason)
    assert.is_nil(select(2, support.numbers_from(router, "a", id)))
  end)

  it("is only for channels that ask for it, when the script says so", function()
    local router = support.start([[sse.channel("kept", { durable = true })]], { durable = "asked" })
    support.fill(router, "kept", 1, 3)
    support.fill(router, "other", 1, 3)
    router = support.restart(router)
    assert.same(range(1, 3), (support.numbers_from(router, "kept", "earliest")))
    assert.same({}, (support.numbers_from(router, "other", "earliest")))
  end)
end)
