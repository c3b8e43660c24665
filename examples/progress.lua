-- Long jobs that report, a channel for each. `done` ends the stream; the browser comes back, hears 204, and stays away.
--   ./dev run examples/progress.lua     and open http://127.0.0.1:8080/
--   curl -X POST http://127.0.0.1:8080/jobs ; curl -N http://127.0.0.1:8080/jobs/1/events

local sse = require "sse"

sse.listen "127.0.0.1:8080"

local jobs, count, running = {}, 0, 0
local steps = { "fetching", "unpacking", "compiling", "testing", "packing" }

local function work(job)
  for percent = 0, 99 do
    job.channel:publish { event = "progress", data = { percent = percent, step = steps[percent // 20 + 1] } }
    sse.sleep(math.random() * 0.2)
  end
  job.ending = { event = "done", data = { percent = 100, seconds = sse.now() - job.since } }
  job.ending.id = job.channel:publish(job.ending)
  job.channel:close()                             -- its streams end once they have sent what is pending
  running = running - 1
  sse.after("10m", function() jobs[job.id] = nil end)
end

sse.get("/", sse.file "progress.html")
sse.post("/jobs", function()
  if running == 100 then return 503, { error = "100 jobs are running: try again soon" } end
  count, running = count + 1, running + 1
  local id = tostring(count)
  jobs[id] = { id = id, since = sse.now(), channel = sse.channel("job." .. id) }
  sse.spawn(work, jobs[id])
  return 201, { id = id, events = "/jobs/" .. id .. "/events" }
end)

sse.get("/jobs/:id/events", function(req)
  local job = jobs[req.params.id]
  if not job then return 404, { error = "no such job: " .. req.params.id } end
  if not job.ending then return sse.subscribe { "job." .. job.id, history = 100, retry = "1s" } end
  if req.last_event_id == job.ending.id then return 204 end     -- heard the end: never come back
  return sse.stream(function(client) client:send(job.ending) end, { retry = "1s" })
end)
