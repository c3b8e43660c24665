-- Ten thousand subscribers, and what is left of them.

local eventsource = require "spec.support.eventsource"
local feeds = require "spec.stream.feeds"
local loop = require "spec.support.loop"
local server = require "spec.support.server"

local count = 10000
local tolerance = 2 ^ 20 -- bytes

--- Connects everybody, lets each have ten events in order, and goes when all streams have ended.
local function round(router, first, leave)
  local crowd = eventsource.many(router.port, "/stream?channels=a", count)
  crowd:wait_open_all(60)
  feeds.wait_subscribers(router, "a", count)
  for n = first, first + 9 do
    feeds.publish(router, { { channel = "a", data = { n = n } } })
  end
  crowd:wait_events(10, 60)
  for index = 1, count do
    assert.equal(10, crowd.counts[index])
  end
  leave(crowd)
  feeds.wait_subscribers(router, "a", 0, 30)
end

local function wait_descriptors(router, expected)
  loop.wait_until(function()
    return router:descriptors() == expected
  end, nil, function()
    return ("%d descriptors; there are %d"):format(expected, router:descriptors())
  end)
end

describe("ten thousand subscribers", function()
  after_each(server.stop_all)

  it("come, get ten events each in order, and leave no trace", function()
    -- With one thread, so that both rounds use the same allocator's pools.
    local router = feeds.start(nil, { threads = 1 })
    local descriptors = router:descriptors()
    round(router, 1, function(crowd)
      crowd:close_all()
    end)
    wait_descriptors(router, descriptors)
    local after_one = feeds.memory(router)
    round(router, 11, function(crowd)
      crowd:close_all(true)
    end)
    wait_descriptors(router, descriptors)
    -- Allocators keep pages; but what one round has left must do for the next one.
    if after_one then
      local grown = feeds.memory(router) - after_one
      assert.is_true(grown < tolerance, ("the second round left %d bytes more"):format(grown))
    end
  end)
end)
