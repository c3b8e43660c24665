-- Subscribers come and go in every way there is; counts stay exact, descriptors come back, and those who
-- stay miss nothing.

local eventsource = require "spec.support.eventsource"
local feeds = require "spec.stream.feeds"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local proxy = require "spec.support.proxy"
local server = require "spec.support.server"

local function open(where, query, options)
  options = options or {}
  if options.reconnect == nil then
    options.reconnect = false
  end
  return eventsource.open(where, "/stream?" .. query, options):wait_open()
end

local function wait_descriptors(router, expected)
  loop.wait_until(function()
    return router:descriptors() == expected
  end, nil, function()
    return ("%d descriptors; there are %d"):format(expected, router:descriptors())
  end)
end

describe("the count of subscribers", function()
  local router, descriptors

  before_each(function()
    router = feeds.start(nil, { threads = 2, args = { "--stall-timeout", "300ms" } })
    descriptors = router:descriptors()
  end)

  after_each(server.stop_all)

  it("is exact on all channels while subscribers come, and after each kind of leaving", function()
    local readers = {}
    for index = 1, 12 do
      readers[index] = open(router.port, index % 2 == 0 and "channels=a,b" or "channels=a")
      assert.equal(index, feeds.subscribers(router, "a"))
      assert.equal(index // 2, feeds.subscribers(router, "b"))
    end
    for index = 12, 1, -1 do
      if index % 3 == 0 then
        readers[index]:close()
      elseif index % 3 == 1 then
        readers[index]:drop()
      else
        readers[index].handle:shutdown()
      end
      feeds.wait_subscribers(router, "a", index - 1)
      feeds.wait_subscribers(router, "b", (index - 1) // 2)
    end
    assert.equal(0, http.get(router.port, "/stats"):json().channels)
    for _, reader in ipairs(readers) do
      reader:close()
    end
    wait_descriptors(router, descriptors)
  end)

  it("is not moved by streams that only HTTP/1.0, HEAD or a refusal had to do with", function()
    local old = http.connect(router.port)
    old:send "GET /stream?channels=a HTTP/1.0\r\nHost: localhost\r\n\r\n"
    feeds.wait_subscribers(router, "a", 1)
    assert.equal(200, http.request(router.port, "HEAD", "/stream?channels=a").status)
    assert.equal(400, http.get(router.port, "/stream?channels=a&last_event_id=last%3Dx").status)
    assert.equal(500, http.get(router.port, "/stream?channels=new,a," .. ("x"):rep(256)).status)
    assert.equal(1, feeds.subscribers(router, "a"))
    assert.equal(1, http.get(router.port, "/stats"):json().channels)
    old:close()
    feeds.wait_subscribers(router, "a", 0)
  end)

  it("is exact after clients that vanish while a proxy is between", function()
    local wire = proxy.start(router.port)
    local readers = {}
    for index = 1, 10 do
      readers[index] = open(wire.port, "channels=a")
    end
    wire:freeze()
    for _, reader in ipairs(readers) do
      reader:close()
    end
    feeds.burst(router, "a", 10)
    assert.equal(10, feeds.subscribers(router, "a"))
    wire:cut(true)
    feeds.wait_subscribers(router, "a", 0)
    wait_descriptors(router, descriptors)
  end)

  it("is exact after clients that never come back nor say so, once something waits for them", function()
    local wire = proxy.start(router.port, { window = 4096 })
    for _ = 1, 3 do
      open(wire.port, "channels=a")
    end
    wire:freeze()
    feeds.burst(router, "a", 100, 1, 20000)
    feeds.wait_subscribers(router, "a", 0)
    wait_descriptors(router, descriptors)
  end)

  it("is exact after clients that leave before they are answered", function()
    local busy = http.connect(router.port)
    busy:request("GET", "/busy?seconds=0.3")
    local left = {}
    for index = 1, 60 do
      left[index] = http.connect(router.port)
      left[index]:request("GET", "/stream?channels=a,b&step=" .. index % 3 + 1)
      left[index]:flush()
    end
    for index, connection in ipairs(left) do
      if index % 3 == 0 then
        connection:reset()
      elseif index % 3 == 1 then
        connection:close()
      else
        connection:shutdown()
      end
    end
    local stays = http.connect(router.port)
    stays:request("GET", "/stream?channels=b")
    assert.equal(204, busy:receive_response().status)
    stays:wait_bytes(1)
    feeds.wait_subscribers(router, "b", 1)
    feeds.wait_subscribers(router, "a", 0)
    assert.equal(1, http.get(router.port, "/stats"):json().channels)
  end)

  it("is exact after clients that leave in the middle of a burst", function()
    for _ = 1, 5 do
      local readers = {}
      for index = 1, 20 do
        readers[index] = open(router.port, "channels=a", { receive_buffer = 4096 })
        readers[index]:pause()
      end
      local publisher = http.connect(router.port)
      publisher:request("POST", "/burst?channels=a&count=60&size=20000")
      for index, reader in ipairs(readers) do
        if index % 2 == 0 then
          reader:drop()
        else
          reader:close()
        end
      end
      assert.equal(204, publisher:receive_response().status)
      publisher:close()
      feeds.wait_subscribers(router, "a", 0)
    end
    wait_descriptors(router, descriptors)
  end)

  it("reaches the script's own hooks, one for each coming and leaving", function()
    router:stop()
    router = feeds.start [[
      local here, came, left = {}, 0, 0
      sse.on("subscribe", function(info) came = came + 1 here[info.id] = table.concat(info.channels, "+") end)
      sse.on("unsubscribe", function(info)
        left = left + 1
        here[info.id] = nil
      end)
      sse.get("/here", function()
        local list = sse.array {}
        for _, names in pairs(here) do list[#list + 1] = names end
        return { here = list, came = came, left = left }
      end)
    ]]
    local one, other = open(router.port, "channels=a,b"), open(router.port, "channels=c")
    assert.equal(2, #http.get(router.port, "/here"):json().here)
    one:drop()
    feeds.wait_subscribers(router, "a", 0)
    assert.same({ here = { "c" }, came = 2, left = 1 }, http.get(router.port, "/here"):json())
    other:close()
    feeds.wait_subscribers(router, "c", 0)
    assert.same({ here = {}, came = 2, left = 2 }, http.get(router.port, "/here"):json())
  end)
end)
