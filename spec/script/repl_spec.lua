-- --repl: lines of standard input run in the running script; at a terminal with a prompt.

local eventsource = require "spec.support.eventsource"
local files = require "spec.support.files"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"
local terminal = require "spec.support.terminal"
local uv = require "luv"

after_each(server.stop_all)

local feed = [[
local sse = require "sse"
local news = sse.channel("news", { history = 7 })
sse.channel "weather"
sse.get("/news", news)
VERSION = 1
function double(x) return 2 * x end
]]

--- Runs the lines in the feed to the end of input. Gives what they wrote, without the ready line, and stderr.
local function run(lines, script)
  local directory = files.directory { ["feed.lua"] = script or feed }
  local result = server.run({ "--listen", "127.0.0.1:0", "--repl", directory .. "/feed.lua" }, { stdin = lines })
  assert.equal(0, result.status, result.stderr)
  return (result.stdout:gsub("^sse%-router: listening on [^\n]+\n", "")), result.stderr
end

local function start(script, options)
  options = options or {}
  options.args, options.stdin = { "--repl" }, true
  return server.start(script or feed, options)
end

describe("--repl with lines from elsewhere", function()
  it("prints the values of expressions, and nothing else", function()
    assert.equal('2\n2\ntrue\tnil\n"text"\n4\nnil\n', run [[
1+1
_
true, nil
"text"
double(2)
x = 1
local y = 2

-- a comment
nil
]])
  end)

  it("sees and sets the script's globals", function()
    assert.equal("1\n2\n6\n", run [[
VERSION
VERSION = 2
VERSION
function triple(x) return 3 * x end
triple(VERSION)
]])
  end)

  it("reads on while Lua wants more", function()
    assert.equal("1\n2\n{ a = 1 }\n\"one\\ntwo\"\n", run [==[
for i = 1, 2 do
  print(i)
end
{
  a = 1,
}
[[one
two]]
]==])
    local _, log = run "for i = 1, 2 do\n"
    assert.matches("prompt: unfinished", log)
  end)

  it("shows tables to a depth, with their cycles and a bound", function()
    assert.equal([[
{ 1, 2, a = { b = { c = { d = 1 } } }, ["two words"] = true }
{ 1, 2, a = { b = { c = { d = { ... } } } }, ["two words"] = true }
{ me = { ... (itself) } }
{}
]], (run [[
{ 1, 2, a = { b = { c = { d = 1 } } }, ["two words"] = true }
{ 1, 2, a = { b = { c = { d = { 1 } } } }, ["two words"] = true }
t = {} t.me = t return t
{}
]]))
    assert.matches("%.%.%. %(160 more%)", (run "local t = {} for i = 1, 200 do t[i] = i end return t\n"))
  end)

  it("writes no control characters of a value", function()
    local out, log = run [[
"\27[31m\r\0\u{9b}\xff"
print == nil or error "\27[31m"
setmetatable({}, { __tostring = function() return "\27[31m" end })
]]
    assert.equal("\"\\27[31m\\13\\0\\xC2\\x9B\\xFF\"\n\\x1B[31m\n", out)
    assert.not_matches("\27", log)
  end)

  it("goes on after errors, whose message and traceback it shows", function()
    local out, log = run 'error "one"\nfoo bar\nsse.chanel "x"\nerror({})\nwhile true do end\n.nothing\n"still here"\n'
    assert.equal('"still here"\n', out)
    assert.matches("prompt:1: one\n%s+stack traceback:", log)
    assert.matches("prompt:1: syntax error near 'bar'", log)
    assert.matches("did you mean 'channel'", log)
    assert.matches("longer than its time budget", log)
    assert.matches("there is no command '%.nothing'", log)
  end)

  it("waits for what waits, and for nobody else", function()
    local router = start(feed .. 'sse.get("/go", function() GO = true return 204 end)')
    router.process:write "while not GO do sse.sleep(0.01) end print 'gone'\n'next'\n"
    assert.equal(204, http.get(router.port, "/go").status)
    router.process:wait_line("stdout", "^gone$")
    router.process:wait_line("stdout", '^"next"$')
  end)

  it("publishes to who listens", function()
    local router = start()
    local client = eventsource.open(router.port, "/news"):wait_open()
    router.process:write '.publish news  hello "all" \n'
    assert.equal('hello "all"', client:next().data)
    router.process:wait_line("stdout", "^published %w+%-1 to 1 subscribers$")
    router.process:write 'sse.channel("news"):publish { event = "story", data = { n = 1 } }\n'
    assert.same({ n = 1 }, client:next_json())
  end)

  it("lists and inspects", function()
    local out = run [[
.publish news first
sse.publish("news", { event = "story", data = { n = 1 } })
.channels
.channels wea
.channels n*.x
.inspect news 1
.inspect nwes
.inspect
.routes
.script
.stats
.help
]]
    assert.matches("\nnews +2 +0  %w+%-2\nweather +0 +0  %-\n%(2 of 2 channels%)\n", out)
    assert.matches("%(1 of 2 channels%)", out)
    assert.matches("%(0 of 2 channels%)", out)
    assert.matches("\nnews: {.-history = 7.-length = 2.-\n%S+  %w+%-2 story  { n = 1 }\nthere is no channel", out)
    assert.matches("did you mean 'news'", out)
    assert.matches("usage: %.inspect", out)
    assert.matches("routes %(1%)\n  GET +/news", out)
    assert.matches("timers %(0%)", out)
    assert.matches("published = 2", out)
    assert.matches("%.help ", out)
  end)

  it("gives a channel no other options by looking at it", function()
    assert.equal("7\n9\n", run [[
sse.channel "news" and require "sse.core".inspect("news", 0).history
sse.channel("news", { history = 9 }) and require "sse.core".inspect("news", 0).history
]])
  end)

  it("runs in the new script after a reload, which ends what waits", function()
    local router = start()
    router.process:write "sse.sleep '1h'\nVERSION\n"
    loop.holds(function()
      return #router.process.stdout == 1
    end, 0.1)
    router:rewrite((feed:gsub("VERSION = 1", "VERSION = 2")))
    router:kill "sighup"
    router:wait_log "reloaded"
    router:wait_log "interrupted"
    router.process:wait_line("stdout", "^2$")
    router:rewrite((feed:gsub("VERSION = 1", "VERSION = 3")))
    router.process:write ".reload\n"
    router:wait_log "reloaded"
    loop.wait_until(function()
      return select(2, router:log():gsub("reloaded the script", "")) == 2
    end)
    router.process:write "VERSION\n"
    router.process:wait_line("stdout", "^3$")
  end)

  it("works with one thread, and in a script that does not know the module", function()
    local router = start("", { threads = 0 })
    router.process:write "sse.sleep(0.01) return 'slept'\n.channels\n"
    router.process:wait_line("stdout", '^"slept"$')
    router.process:wait_line("stdout", "^%(0 of 0 channels%)$")
  end)

  it("ends the router with the input, with .quit, and not later than a signal", function()
    assert.equal("5\n", run "sse.sleep(0.05) return 5")
    assert.equal("1\n", run "1\n.quit\n2\n")
    local router = start()
    router.process:write "sse.sleep '1h'\n"
    router:stop()
  end)

  it("leaves standard input to nobody else", function()
    local result = server.run { "--repl", "-" }
    assert.equal(2, result.status)
    assert.matches("the script cannot come from there", result.stderr)
  end)
end)

describe("--repl at a terminal", function()
  local directory, screen

  --- Starts the feed, or another script, at a terminal, and waits for the prompt.
  local function open(script, args)
    files.write(directory .. "/feed.lua", script or feed)
    local words = { server.binary, "--listen", "127.0.0.1:0", "--repl", directory .. "/feed.lua" }
    if words[1]:sub(1, 1) ~= "/" then
      words[1] = uv.cwd() .. "/" .. words[1]
    end
    for word in (os.getenv "SSE_ROUTER_ARGS" or ""):gmatch "%S+" do
      table.insert(words, 2, word)
    end
    table.move(args or {}, 1, #(args or {}), #words + 1, words)
    screen = terminal.open(words, { env = { XDG_STATE_HOME = directory .. "/state", HOME = directory } })
    screen:wait "listening on "
    screen.port = tonumber(screen:wait("/\r\n"):match "%d+$")
    screen:wait "> "
  end

  --- Types a line, and gives what is written until the next prompt.
  local function enter(line)
    screen:type(line .. "\r")
    return (screen:wait "\n> ":gsub("\r", ""))
  end

  --- Types keys, waits for a text, then for the prompt. While it is not there, keys are the terminal's to interpret.
  local function expect(keys, text)
    screen:type(keys)
    screen:wait(text)
    screen:wait "\n> "
  end

  --- Ends the session with Ctrl-D.
  local function leave()
    screen:type "\4"
    assert.equal(0, screen:wait_exit())
  end

  before_each(function()
    directory = files.directory()
  end)

  it("has a prompt, another for further lines, and the answers below", function()
    open()
    assert.equal("1+1\n2", enter "1+1")
    screen:type "for i = 1, 2 do\r"
    screen:wait "\n>> "
    assert.matches("^print%(i%) end\n1\n2$", enter "print(i) end")
    assert.equal('"äöü€"', enter('"äöü€"'):match "\n(.*)$")
    assert.matches("prompt:1: bad\n.*traceback", enter 'error "bad"')
    assert.equal("2", enter("double(1)"):match "\n(.*)$")
    leave()
  end)

  it("serves while nobody types, and publishes to who listens", function()
    open(nil, { "--threads", "0" })
    local client = eventsource.open(screen.port, "/news"):wait_open()
    assert.matches("to 1 subscribers$", enter ".publish news hello")
    assert.equal("hello", client:next().data)
    leave()
  end)

  it("completes commands, channels and names", function()
    open()
    expect(".ins\tne\t1\r", "news: {")
    expect('sse.channel("ne\t)\r', "\nchannel news")
    expect("sse.sub\t\r", "\nfunction: ")
    expect("math.maxi\t == math.maxinteger\r", "\ntrue")
    screen:type "sse.\t"
    screen:wait "publish"
    screen:wait "> sse."
    expect("now() > 0\r", "\ntrue")
    leave()
  end)

  it("has a history, which the next session has, too, and nobody else may read", function()
    open()
    enter "'kept'"
    enter "'last'"
    expect("\27[A\27[A\r", '\n"kept"')
    leave()
    local path = directory .. "/state/sse-router/history"
    assert.equal(tonumber("600", 8), uv.fs_stat(path).mode & tonumber("777", 8))
    open()
    expect("\27[A\27[A\r", '\n"last"')
    leave()
  end)

  it("draws the line again below what the router writes", function()
    open(feed .. [[sse.post("/tell", function(req) sse.log.info("told") print "printed" return 204 end)]])
    screen:type "1 + 41"
    screen:wait "41"
    http.post(screen.port, "/tell", "")
    assert.matches("\r\27%[J[^\r]+info  $", screen:wait "told")
    screen:wait "printed\r\n"
    screen:wait "> 1 + 41"
    expect("\r", "\n42")
    leave()
  end)

  it("does so for a line of several rows, in characters of any width", function()
    open(feed .. [[sse.post("/tell", function(req) sse.log.info("told") return 204 end)]])
    -- Behind "> '" the first row has place for 38, with a cell left over; further ones have place for 40.
    local count = 38 + 3 * 40
    screen:type("'" .. ("漢"):rep(count))
    loop.wait_until(function()
      return select(2, screen:text():gsub("漢", "")) >= count
    end)
    http.post(screen.port, "/tell", "")
    screen:wait "\r\27[4A\27[J"
    screen:wait "told\r\n> "
    expect("'\r", "\n\"漢漢漢")
    leave()
  end)

  it("throws the line away at Ctrl-C, and ends what runs", function()
    open()
    screen:type "abc def\3"
    screen:wait "\27[J> "
    screen:type "for i = 1, 2 do\r"
    screen:wait ">> "
    screen:type "\3"
    screen:wait "\27[J> "
    assert.equal("7", enter("7"):match "\n(.*)$")
    screen:type "print 'begun' sse.sleep '1h'\r"
    screen:wait "\nbegun"
    expect("\3", "interrupted")
    leave()
  end)

  it("leaves the terminal as it was when the router ends otherwise", function()
    local process_id = [[PID = io.open "/proc/self/stat":read "n" ]]
    open(process_id .. feed)
    terminal.kill(tonumber(enter("PID"):match "\n(%d+)"), "sigterm")
    assert.equal(0, screen:wait_exit())
    open(feed .. [[sse.post("/exit", function() print "last words" os.exit(5) end)]])
    screen:type "half a line"
    screen:wait "half a line"
    local connection = http.connect(screen.port)
    connection:request("POST", "/exit", {}, "")
    screen:wait "last words"
    assert.equal(5, screen:wait_exit())
  end)

  it("ends with .quit", function()
    open()
    screen:type ".quit\r"
    assert.equal(0, screen:wait_exit())
  end)
end)
