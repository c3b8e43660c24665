-- Mistakes of a script: wrong arguments and options raise at the script's own line, with a message that says what
-- is expected, and for names the nearest one that there is.

local http = require "spec.support.http"
local server = require "spec.support.server"

after_each(server.stop_all)

local DURATION = 'must be a duration such as "500ms", "3s" or a number of seconds'

--- Each case: code that is wrong, and how the message goes on behind the place. They run while the script is
--- loaded, and again in a handler.
local cases = {
  { "sse.listen()", "sse.listen: argument 1 (address) must be a string, got nil" },
  { "sse.listen(8080)", "sse.listen: argument 1 (address) must be a string, got 8080" },
  { "sse.channel()", "sse.channel: argument 1 (name) must be a string, got nil" },
  { "sse.channel {}", "sse.channel: argument 1 (name) must be a string, got table" },
  { "sse.channel ''", "a channel's name must have 1 to 255 bytes" },
  { "sse.channel(('x'):rep(256))", "a channel's name must have 1 to 255 bytes" },
  { "sse.channel('a', 5)", "sse.channel: options must be a table, got 5" },
  { "sse.channel('a', { histroy = 5 })", "sse.channel: unknown option 'histroy' (did you mean 'history'?)" },
  { "sse.channel('a', { maxage = 5 })", "sse.channel: unknown option 'maxage' (did you mean 'max_age'?)" },
  { "sse.channel('a', { [1] = 5 })", "sse.channel: options have names, got the key 1 (known options: " },
  { "sse.channel('a', { xyzzy = 5 })", "sse.channel: unknown option 'xyzzy' (known options: " },
  { "sse.channel('a', { history = 'x' })", "sse.channel: option 'history' must be an integer" },
  { "sse.channel('a', { history = -1 })", "sse.channel: option 'history' must be an integer" },
  { "sse.channel('a', { history = 1.5 })", "sse.channel: option 'history' must be an integer" },
  { "sse.channel('a', { max_age = '5x' })", "sse.channel: option 'max_age' " .. DURATION .. ', got "5x"' },
  { "sse.channel('a', { max_bytes = '5x' })", "sse.channel: option 'max_bytes' must be a size such as" },
  { "sse.channel('a', { key = 5 })", "sse.channel: option 'key' must be a field's name or a function" },
  { "sse.channel('a', { on_lag = 'wait' })",
    'sse.channel: option \'on_lag\' must be one of "disconnect", "skip", got "wait"' },
  { "sse.subscribe()", "sse.subscribe: no channels" },
  { "sse.subscribe {}", "sse.subscribe: no channels" },
  { "sse.subscribe { channels = {} }", "sse.subscribe: no channels" },
  { "sse.subscribe { channels = 'a' }",
    "sse.subscribe: option 'channels' must be a list of channels or of their names" },
  { "sse.subscribe { 5 }", "sse.subscribe: item 1 must be a channel or a channel's name, got 5" },
  { "sse.subscribe { 'a', {} }", "sse.subscribe: item 2 must be a channel or a channel's name, got table" },
  { "sse.subscribe { 'a', io.stdout }", "sse.subscribe: item 2 must be a channel or a channel's name, got userdata" },
  { "sse.subscribe { 'a', '' }", "sse.subscribe: item 2 must be a channel or a channel's name, got \"\"" },
  { "sse.subscribe { nil, 'a' }", "sse.subscribe: item 1 is nil" },
  { "sse.subscribe { 'a', nil, 'b' }", "sse.subscribe: item 2 is nil" },
  { "sse.subscribe { channels = { 'a', 5 } }",
    "sse.subscribe: channels[2] must be a channel or a channel's name, got 5" },
  { "sse.subscribe { 'a', event = { 'x' } }", "sse.subscribe: unknown option 'event' (did you mean 'events'?)" },
  { "sse.subscribe { 'a', events = 'x' }", "sse.subscribe: option 'events' must be a list of event names, got \"x\"" },
  { "sse.subscribe { 'a', events = { 'x', 5 } }", "sse.subscribe: option 'events' must be a list of event names" },
  { "sse.subscribe { 'a', events = { x = true } }", "sse.subscribe: option 'events' must be a list of event names" },
  { "sse.subscribe { 'a', history = -1 }", "sse.subscribe: option 'history' must be an integer of at least 0, got -1" },
  { "sse.subscribe { 'a', start = 'last=x' }", "sse.subscribe: option 'start' must be an id, earliest, latest" },
  { "sse.subscribe { 'a', retry = 'soon' }", "sse.subscribe: option 'retry' " .. DURATION },
  { "sse.subscribe { 'a', heartbeat = -1 }", "sse.subscribe: option 'heartbeat' " .. DURATION },
  { "sse.subscribe { 'a', first = 'x' }", "sse.subscribe: option 'first' must be a list of events" },
  { "sse.subscribe { 'a', first = { data = 'x' } }", "sse.subscribe: option 'first' must be a list of events" },
  { "sse.subscribe { 'a', first = { { dta = 'x' } } }", "an event has no field 'dta' (did you mean 'data'?)" },
  { "sse.subscribe { 'a', filter = 5 }",
    'sse.subscribe: option \'filter\' must be a filter\'s name or { "name", arguments... }' },
  { "sse.subscribe { 'a', filter = 'sane_symbol' }",
    "sse.subscribe: there is no filter 'sane_symbol' (did you mean 'same_symbol'?)" },
  { "sse.subscribe { 'a', filter = {} }", "sse.subscribe: there is no filter 'nil'" },
  { "sse.subscribe { 'a', filter = { 'same_symbol', print } }", "filter[1]: a function cannot be sent as JSON" },
  { "sse.filter()", "sse.filter: argument 1 (name) must be a string, got nil" },
  { "sse.filter('x')", "sse.filter: argument 2 (filter) must be a function, got nil" },
  { "sse.stream()", "sse.stream: argument 1 (function) must be a function, got nil" },
  { "sse.stream(print, { retyr = 1 })", "sse.stream: unknown option 'retyr' (did you mean 'retry'?)" },
  { "sse.stream(print, { heartbeat = {} })", "sse.stream: option 'heartbeat' " .. DURATION .. ", got table" },
  { "sse.every()", "sse.every: argument 1 (interval) " .. DURATION .. ", got nil" },
  { "sse.every(print, 1)", "sse.every: argument 1 (interval) " .. DURATION .. ", got function" },
  { "sse.every('1s')", "sse.every: argument 2 (function) must be a function, got nil" },
  { "sse.every(0, print)", "sse.every: argument 1 (interval) must be a duration of at least 0.001" },
  { "sse.every(-1, print)", "sse.every: argument 1 (interval) must be a duration" },
  { "sse.every(0/0, print)", "sse.every: argument 1 (interval) " .. DURATION },
  { "sse.after('1 s', print)", "sse.after: argument 1 (interval) " .. DURATION .. ', got "1 s"' },
  { "sse.after(1, 'print')", 'sse.after: argument 2 (function) must be a function, got "print"' },
  { "sse.after(math.huge, print)", "sse.after: argument 1 (interval) must be a duration of at most 100 years" },
  { "sse.sleep()", "sse.sleep: argument 1 (duration) " .. DURATION .. ", got nil" },
  { "sse.sleep '1x'", "sse.sleep: argument 1 (duration) " .. DURATION .. ', got "1x"' },
  { "sse.spawn()", "sse.spawn: argument 1 (function) must be a function, got nil" },
  { "sse.on('subscribed', print)", 'sse.on: argument 1 (event) must be one of "subscribe", "unsubscribe"' },
  { "sse.on('error')", "sse.on: argument 2 (handler) must be a function, got nil" },
  { "sse.split {}", "sse.split: argument 1 (text) must be a string, got table" },
  { "sse.split('a,b', '')", "sse.split: argument 2 (separator) must be one character" },
  { "sse.split('a,b', ', ')", "sse.split: argument 2 (separator) must be one character" },
  { "sse.split('a,b', 5)", "sse.split: argument 2 (separator) must be one character" },
  { "sse.array(5)", "sse.array: argument 1 (list) must be a table, got 5" },
  { "sse.array()", "sse.array: argument 1 (list) must be a table, got nil" },
  { "sse.defer()", "sse.defer: argument 1 (function) must be a function, got nil" },
  { "sse.static()", "sse.static: argument 1 (prefix) must be a string, got nil" },
  { "sse.static('/x')", "sse.static: argument 2 (folder) must be a string, got nil" },
  { "sse.static('/x', '.', { lsit = true })", "sse.static: unknown option 'lsit'" },
  { "sse.file()", "sse.file: argument 1 (path) must be a string, got nil" },
  { "sse.cors { orgins = '*' }", "sse.cors: unknown option 'orgins' (did you mean 'origins'?)" },
  { "sse.publish()", "a channel or a channel's name is expected, got nil" },
  { "sse.publish(5, 'x')", "a channel or a channel's name is expected, got number" },
  { "sse.publish('a')", "an event must be a table or a string, got nil" },
  { "sse.publish('a', 5)", "an event must be a table or a string, got number" },
  { "sse.publish('a', { dta = 1 })", "an event has no field 'dta' (did you mean 'data'?)" },
  { "sse.publish('a', { [1] = 1 })", "an event has no field '1' (it has event, data, id, retry, key, meta" },
  { "sse.publish('a', { event = {} })", "event.event must be a string, got table" },
  { "sse.publish('a', { id = true })", "event.id must be a string, got boolean" },
  { "sse.publish('a', { retry = 'x' })", "event.retry: " .. DURATION },
  { "sse.channel('a'):publish()", "an event must be a table or a string, got nil" },
  { "sse.channel('a').publish({ data = 'x' })", "a channel or a channel's name is expected, got table" },
  { "local x = sse.channel('a').subscribres", "a channel has no field 'subscribres'" },
  { "sse.auth.token {}", "sse.auth.token: option 'secret' " },
  { "sse.auth.token { secert = 'x' }", "sse.auth.token: unknown option 'secert' (did you mean 'secret'?)" },
  { "sse.log.info(); sse.log.inof 'x'", "attempt to call a nil value (field 'inof')" },
  { "sse.json.encode({ a = { b = print } })", "value.a.b: a function cannot be sent as JSON" },
}

local function quoted(list)
  local lines = {}
  for index, case in ipairs(list) do
    lines[index] = ("%q"):format(case[1])
  end
  return "{" .. table.concat(lines, ",\n") .. "}"
end

local script = [[
local sse = require "sse"
sse.filter("same_symbol", function() return true end)
local function try(code)
  local fn = assert(load("local sse = ... " .. code, "=mistake", "t"))
  local ok, message = pcall(fn, sse)
  return ok and "no error" or tostring(message)
end
local messages = {}
for index, code in ipairs(]] .. quoted(cases) .. [[) do messages[index] = try(code) end
sse.get("/messages", function() return sse.array(messages) end)
sse.post("/try", function(req) return try(req.body) end)
]]

describe("a script's mistake", function()
  it("is told with its place, while the script is loaded", function()
    local router = server.start(script)
    local messages = http.get(router.port, "/messages"):json()
    for index, case in ipairs(cases) do
      local expected = "mistake:1: " .. case[2]
      assert.equal(expected, messages[index]:sub(1, #expected), case[1])
    end
  end)

  it("is told with its place, in a handler", function()
    local router = server.start(script)
    for _, case in ipairs(cases) do
      if not case[1]:find "^sse%.listen" then
        local expected = "mistake:1: " .. case[2]
        local message = http.post(router.port, "/try", case[1]).body
        assert.equal(expected, message:sub(1, #expected), case[1])
      end
    end
    assert.equal("mistake:1: sse.listen works only while the script is loaded",
      http.post(router.port, "/try", "sse.listen ':0'").body)
  end)

  it("has a message of one line", function()
    local router = server.start(script)
    for _, message in ipairs(http.get(router.port, "/messages"):json()) do
      assert.is_nil(message:find "\n", message)
      assert.is_true(#message < 300, message)
    end
  end)
end)

describe("a function of sse that is not there", function()
  it("is told with the nearest name", function()
    for code, near in pairs {
      ["sse.gett('/', print)"] = "get", ["sse.chanel 'x'"] = "channel", ["sse.sleeep(1)"] = "sleep",
    } do
      local result = server.run { "--check", "-e", 'local sse = require "sse"\n' .. code }
      assert.equal(1, result.status)
      assert.matches("%(command line%):2: sse has no '%w+' %(did you mean '" .. near .. "'%?%)", result.stderr)
    end
  end)
end)
