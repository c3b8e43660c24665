-- examples/random.lua: to each client its own random numbers, each at a random moment within 3 s.

local curl = require "spec.support.curl"
local eventsource = require "spec.support.eventsource"
local loop = require "spec.support.loop"
local server = require "spec.support.server"

describe("examples/random.lua", function()
  after_each(server.stop_all)

  it("gives each client its own numbers at moments of its own", function()
    local router = server.start_file "examples/random.lua"
    local watcher = curl.start { router.url .. "/events" }
    local clients = 30
    local numbers, moments, repeated = {}, {}, 0
    for _ = 1, clients do
      local heard = false
      eventsource.open(router.port, "/events", {
        on_event = function(event)
          if heard then
            repeated = repeated + 1
            return
          end
          heard = true
          table.insert(numbers, math.tointeger(tonumber(event.data)))
          table.insert(moments, loop.now())
        end,
      })
    end
    loop.wait_until(function()
      return #numbers == clients and repeated > 0
    end, 5, "a number for each client, and a second one for some")

    local different, seen = 0, {}
    for _, number in ipairs(numbers) do
      assert(number >= 1 and number <= 1000, number)
      different = different + (seen[number] and 0 or 1)
      seen[number] = true
    end
    assert(different > 5, "the clients hear the same numbers")
    assert(moments[clients] - moments[1] > 0.5, "the clients hear at the same moment")
    watcher:wait_line("stdout", "^data: (%d+)$")
  end)
end)
