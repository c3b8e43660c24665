-- examples/welcome.lua: ten messages, one a second, then the end of the stream, with `retry:`.

local json = require "cjson"
local curl = require "spec.support.curl"
local eventsource = require "spec.support.eventsource"
local loop = require "spec.support.loop"
local server = require "spec.support.server"

describe("examples/welcome.lua", function()
  after_each(server.stop_all)

  it("welcomes ten times, one a second, and ends", function()
    local router = server.start_file "examples/welcome.lua"
    local watcher = curl.start { router.url .. "/events" }
    local opened = loop.now()
    local listener = eventsource.open(router.port, "/events", { reconnect_after = 0.1 })
    for number = 1, 10 do
      local event = listener:next()
      assert.equal("welcome", event.event)
      assert.same({ number = number, text = "Welcome!" }, json.decode(event.data))
      assert(loop.now() - opened >= (number - 1) * 0.99, "a message came too early")
    end
    assert.equal("complete", listener:wait_ending())
    assert.same({ 5000 }, listener.retries)
    -- The end means "later": who comes back is welcomed from the start.
    assert.equal(1, listener:next_json().number)

    assert.same({ 0, 0 }, { watcher:wait_exit() })
    local _, frames = watcher:text("stdout"):gsub("event: welcome\n", "")
    assert.equal(10, frames)
    assert.matches("retry: 5000\n", watcher:text "stdout")
  end)
end)
