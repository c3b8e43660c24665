-- Small functions of the library: split, defer, log, system, static, file, array.

local http = require "spec.support.http"
local server = require "spec.support.server"

after_each(server.stop_all)

local function start(text, options)
  return server.start('local sse = require "sse"\n' .. text, options)
end

it("sse.split cuts text and trims", function()
  local router = start [[
sse.post("/split", function(req)
  return sse.array(sse.split(req.body, req.query.at))
end)
sse.get("/nil", function() return { #sse.split(nil), #sse.split("") } end)
]]
  local function split(text, at)
    return http.post(router.port, "/split" .. (at and "?at=" .. at or ""), text):json()
  end
  assert.same({ "a", "b", "c" }, split "a,b,c")
  assert.same({ "a", "b c" }, split " a ,, b c ,\t,")
  assert.same({}, split ",,,")
  assert.same({ "a,b", "c" }, split("a,b;c", "%3B"))
  for _, at in ipairs { "%25", "%5D", "%5E", "-", ".", "%5C", "%5B" } do
    local char = (at:gsub("%%(%x%x)", function(digits)
      return string.char(tonumber(digits, 16))
    end))
    assert.same({ "a", "b" }, split("a" .. char .. "b", at), char)
  end
  assert.same({ 0, 0 }, http.get(router.port, "/nil"):json())
end)

it("sse.defer runs when its variable goes, also behind an error", function()
  local router = start [[
sse.get("/", function()
  local notes = {}
  do
    local _ <close> = sse.defer(function() notes[#notes + 1] = "first" end)
    local _ <close> = sse.defer(function() notes[#notes + 1] = "second" end)
  end
  pcall(function()
    local _ <close> = sse.defer(function(_, e) notes[#notes + 1] = e end)
    error("third", 0)
  end)
  return notes
end)
]]
  assert.same({ "second", "first", "third" }, http.get(router.port, "/"):json())
end)

it("sse.log writes one line whatever it is given", function()
  local router = start([[
sse.log.info("a", 1, 1.5, nil, true, { b = { 1, 2 } }, sse.null, "\u{E4}")
sse.log.warn()
sse.log.warn("two\nlines", "and \27[31mred")
sse.log.error({ f = 1, print })
sse.log.debug "seen"
sse.log.info(setmetatable({}, { __tostring = function() return "named" end }))
sse.log.info "100%s %d"
]], { args = { "--log-level", "debug" } })
  router:wait_log "info  a 1 1%.5 nil true {\"b\":%[1,2%]} "
  router:wait_log "warn  two$"
  router:wait_log "^    lines and "
  router:wait_log "error table: 0x"
  router:wait_log "debug seen"
  router:wait_log "info  named"
  router:wait_log "100%%s %%d"
  assert.not_matches("\27", router:log())
end)

it("sse.system has plausible numbers", function()
  local router = start 'sse.get("/", function() return sse.system() end)'
  http.get(router.port, "/")
  local numbers = http.get(router.port, "/"):json()
  assert.is_true(numbers.cpu >= 0 and numbers.cpu <= 1)
  assert.is_true(numbers.cpus >= 1 and numbers.cpus < 10000)
  assert.is_true(numbers.load1 >= 0 and numbers.load5 >= 0 and numbers.load15 >= 0)
  assert.is_true(numbers.memory_total > 1e7)
  assert.is_true(numbers.memory_available > 0 and numbers.memory_available <= numbers.memory_total)
  assert.equal(numbers.memory_total - numbers.memory_available, numbers.memory_used)
  local uptime = assert(io.open "/proc/uptime"):read "n"
  assert.is_true(math.abs(numbers.uptime - uptime) < 60)
  assert.is_true(numbers.network_received >= 0 and numbers.network_sent >= 0)
end)

it("sse.static and sse.file serve what is beside the script", function()
  local router = start([[
sse.static("/files", ".")
sse.get("/page", sse.file "page.html")
sse.get("/missing", sse.file "missing.html")
]], { files = { ["page.html"] = "<p>page</p>", ["data.json"] = "{}" } })
  local page = http.get(router.port, "/page")
  assert.same({ 200, "<p>page</p>", "text/html; charset=utf-8" },
    { page.status, page.body, page.headers["content-type"] })
  assert.equal("{}", http.get(router.port, "/files/data.json").body)
  assert.equal(304, http.get(router.port, "/page", { ["If-None-Match"] = page.headers.etag }).status)
  assert.equal(404, http.get(router.port, "/missing").status)
  assert.equal(404, http.get(router.port, "/files/nothing").status)
  for _, path in ipairs { "/files/../script.lua/..", "/files/%2e%2e/x", "/files/..%2f..%2fetc/passwd" } do
    assert.is_true(http.get(router.port, path).status >= 400, path)
  end
  router:wait_log "warn  %S*script.lua:%d+: sse.file: cannot read 'missing.html': No such file or directory"
end)

it("sse.array marks a table and gives it back", function()
  local router = start [[
sse.get("/", function()
  local list = {}
  return { same = sse.array(list) == list, empty = list, full = sse.array { 1 } }
end)
]]
  assert.equal(true, http.get(router.port, "/"):json().same)
  assert.truthy(http.get(router.port, "/").body:find('"empty":[]', 1, true))
end)

it("sse can be had by every module, and is one table", function()
  local other = 'local sse = require "sse" sse.get("/other", function() return "other" end) return sse'
  local router = start([[
local other = require "other"
sse.get("/", function() return { same = other == sse } end)
]], { files = { ["other.lua"] = other } })
  assert.same({ same = true }, http.get(router.port, "/"):json())
  assert.equal("other", http.get(router.port, "/other").body)
end)
