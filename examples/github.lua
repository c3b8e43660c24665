-- What happens in a repository, live: GitHub calls the webhook, everyone who listens hears of it.
-- In the repository's settings add a webhook: this server's URL with /github, content type application/json, and the
-- secret that WEBHOOK_SECRET has here. Bodies that are not signed with it are refused.
--   WEBHOOK_SECRET=hush ./dev run examples/github.lua   and open http://127.0.0.1:8080/
--   body='{"repository":{"full_name":"me/it"},"sender":{"login":"me"},"action":"opened"}'
--   sum=$(printf %s "$body" | openssl dgst -sha256 -hmac hush | sed 's/.*= *//')
--   curl -H "X-Hub-Signature-256: sha256=$sum" -H 'X-GitHub-Event: issues' -d "$body" http://127.0.0.1:8080/github

local sse = require "sse"

sse.listen "127.0.0.1:8080"

local secret = os.getenv "WEBHOOK_SECRET"
if not secret then
  sse.log.warn "WEBHOOK_SECRET is not set: anyone who has read this example can publish"
  secret = "hush"
end

local activity = sse.channel("activity", { history = 200, max_age = "7d" })

local function name_of(value, field)
  return type(value) == "table" and value[field] or nil
end

sse.webhook("/github", {
  secret = secret,
  scheme = "github",
  channel = activity,
  event = function(data, req)                     -- of what GitHub tells, what a page shows
    if type(data) ~= "table" or req.headers["x-github-event"] == "ping" then return nil end
    return {
      event = req.headers["x-github-event"],
      data = {
        repository = name_of(data.repository, "full_name"),
        who = name_of(data.sender, "login"),
        action = data.action,
        branch = data.ref,
        message = name_of(data.head_commit, "message"),
      },
    }
  end,
})

sse.get("/", function() return 302, nil, { Location = "/wire#/activity" } end)
sse.get("/wire", sse.file "wire.html")

sse.get("/activity", function(req)                -- /activity?events=push,issues: these alone
  local wanted = sse.split(req.query.events)
  return sse.subscribe { activity, events = wanted[1] and wanted, history = 20 }
end)
