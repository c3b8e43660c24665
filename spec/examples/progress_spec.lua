-- examples/progress.lua: a job's progress from 0 % to the end, then 204 when the browser comes back; and its page.

local json = require "cjson"
local curl = require "spec.support.curl"
local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local page = require "spec.support.page"
local server = require "spec.support.server"

local steps = { "fetching", "unpacking", "compiling", "testing", "packing" }

local function start_job(router)
  local answer = http.post(router.port, "/jobs")
  assert.equal(201, answer.status)
  local job = answer:json()
  assert.equal(("/jobs/%s/events"):format(job.id), job.events)
  return job
end

--- Raises unless these events tell of one whole job.
local function assert_whole(events)
  for percent = 0, 99 do
    local event = events[percent + 1]
    assert.equal("progress", event.event)
    assert.same({ percent = percent, step = steps[percent // 20 + 1] }, json.decode(event.data))
  end
  local done = json.decode(events[101].data)
  assert.equal("done", events[101].event)
  assert.equal(100, done.percent)
  assert(done.seconds > 0 and done.seconds < 60, done.seconds)
end

describe("examples/progress.lua", function()
  after_each(server.stop_all)

  it("streams each job to its end and tells the browser not to come back", function()
    local router = server.start_file "examples/progress.lua"
    local session = page.start("progress.mjs", router.url .. "/")
    local job = start_job(router)
    local listener = eventsource.open(router.port, job.events)
    local watcher = curl.start { router.url .. job.events }
    local events = listener:take(30)

    -- Who comes in the middle hears what was before, too; who was cut off goes on.
    local late = eventsource.open(router.port, job.events)
    local dropped = eventsource.open(router.port, job.events, { last_event_id = events[10].id })
    assert.same({ table.unpack(events, 11, 30) }, dropped:take(20))
    dropped:drop()

    table.move(listener:take(71, 60), 1, 71, 31, events)
    assert_whole(events)
    assert.same(events, late:take(101))
    assert.same({ table.unpack(events, 31) }, dropped:take(71))
    for _, client in ipairs { listener, late, dropped } do
      assert.equal("status 204", client:wait_closed())
      assert.equal(1000, client.retries[1])
    end
    assert.equal("complete", listener.endings[1])
    assert.same({ 0, 0 }, { watcher:wait_exit() })
    local _, frames = watcher:text("stdout"):gsub("\ndata: ", "")
    assert.equal(101, frames)

    -- Who comes after the end hears of it once.
    local too_late = eventsource.open(router.port, job.events, { reconnect_after = 0 })
    assert.same(events[101], too_late:next())
    assert.equal("status 204", too_late:wait_closed())
    assert.equal(1, too_late.received)
    local missed_end = eventsource.open(router.port, job.events, { last_event_id = events[50].id })
    assert.same(events[101], missed_end:next())

    local on_page = session:finish(60)
    assert.matches("^Job [12]$", on_page.title)
    assert.equal("100 %", on_page.percent)
    assert.matches("finished in [%d.]+ s; the browser came back, heard 204 and stays away", on_page.note)
    assert.equal("0 running, 1 finished", on_page.state)
    assert.same({ 200, 204 }, on_page.answers)
  end)

  it("answers for jobs that it does not know, and takes no more than 100 at a time", function()
    local router = server.start_file "examples/progress.lua"
    assert.equal(404, http.get(router.port, "/jobs/1/events").status)
    for _ = 1, 100 do
      start_job(router)
    end
    assert.equal(503, http.post(router.port, "/jobs").status)
    assert.equal(404, http.get(router.port, "/jobs/101/events").status)
  end)
end)
