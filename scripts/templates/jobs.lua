-- @NAME@: jobs that tell how far they are, each on a channel of its own.
--   sse-router --watch @NAME@.lua       and open http://127.0.0.1:8080/
--   curl -X POST http://127.0.0.1:8080/jobs ; curl -N http://127.0.0.1:8080/jobs/1/events

local sse = require "sse"

sse.listen "127.0.0.1:8080"

local jobs, count = {}, 0

-- Put your own work here. It may wait (sse.sleep, sse.fetch) while others go on.
local function work(job)
  for percent = 0, 90, 10 do
    job.channel:publish { event = "progress", data = { percent = percent } }
    sse.sleep "200ms"
  end
  job.ending = { event = "done", data = { percent = 100 } }
  job.ending.id = job.channel:publish(job.ending)
  job.channel:close()                             -- its streams end once they have sent what is pending
  sse.after("10m", function() jobs[job.id] = nil end)
end

sse.get("/", sse.file "@NAME@.html")

sse.post("/jobs", function()
  count = count + 1
  local id = tostring(count)
  jobs[id] = { id = id, channel = sse.channel("job." .. id) }
  sse.spawn(work, jobs[id])
  return 201, { id = id, events = "/jobs/" .. id .. "/events" }
end)

sse.get("/jobs/:id/events", function(req)
  local job = jobs[req.params.id]
  if not job then return 404, { error = "no such job: " .. req.params.id } end
  if not job.ending then return sse.subscribe { job.channel, start = "earliest", retry = "1s" } end
  if req.last_event_id == job.ending.id then return 204 end     -- has heard the end: 204 says "do not come back"
  return sse.stream(function(client) client:send(job.ending) end)
end)
