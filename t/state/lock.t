# Whoever may remove files of the state directory, or put others there, can
# make two nginx write one state file: what becomes of that.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Canary::Test;
use File::Copy qw(copy move);
use Test::More;

my $t = Canary::Test->new(timeout => 240);
my $dir = $t->dir . '/canary';
my $file = "$dir/state.json";

$t->backend('v1');
$t->backend('v2');

my $config = <<'EOC';
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }
    upstream ep {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
    }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / { proxy_pass http://ep; }
    }
    %%API%%
EOC

my $ports = $config =~ s/%%PORT_(v\d)%%/$t->port($1)/ger;

$t->start($config);

subtest 'the lock is removed' => sub {
    $t->start_rollout('ep', steps => [ 0.2, 0.4, 0.6, 0.8 ]);
    unlink "$dir/state.lock" or die "state.lock: $!";
    is($t->verb(ep => 'advance')->{weight}, 0.4, 'a write goes on');
    ok(-e "$dir/state.lock", 'with another lock');
    ok(warned(qr/state\.lock" has been removed or replaced/), 'which is said');

    unlink "$dir/state.lock" or die "state.lock: $!";
    $t->wait_for(sub { -e "$dir/state.lock" }, 20, 'another lock');
    ok(-e "$dir/state.lock", 'without a write too');

    my $second = second();
    $second->wait_for(sub { exists $second->endpoint('ep')->{durable} }, 20,
                      'the lock to be refused');
    is($second->api_post('endpoints/ep/rollout/advance')->status, 503,
       'a second nginx does not get that one');
    is($t->verb(ep => 'rollback')->{phase}, 'idle', 'the first one goes on');
    $second->stop;
};

subtest 'another nginx takes it' => sub {
    $t->start_rollout('ep', steps => [ 0.2, 0.4 ]);

    # Its helper finds nothing before the second one has the lock.
    my $helper = $t->helper_pid;
    $t->kill(STOP => $helper);
    unlink "$dir/state.lock" or die "state.lock: $!";
    my $second = second();
    my $idle = $second->verb(ep => 'rollback');
    is($idle->{phase}, 'idle', 'a rollback there');
    ok(!exists $idle->{durable}, 'is acknowledged');
    my $asked = $t->client('api')->start(method => 'POST',
        uri => '/canary/endpoints/ep/rollout/advance');
    $t->endpoint('ep');
    $t->kill(CONT => $helper);

    is($asked->finish->status, 503, 'a write of the first one is refused');
    ok($t->wait_for(sub { $t->endpoint('ep')->{phase} eq 'idle' }, 20,
                    'it to follow'), 'it follows the second one');
    is($t->stop, 0, 'its end');
    is($second->endpoint('ep')->{phase}, 'idle', 'changes nothing there');
    $second->stop;
    $t->start;
    is($t->endpoint('ep')->{phase}, 'idle', 'nor in the file');
    is($t->endpoint('ep')->{last_rollout}{result}, 'rolled_back', 'of it');
};

subtest 'the file is replaced by an older one, or removed' => sub {
    $t->start_rollout('ep', steps => [ 0.2, 0.4, 0.6, 0.8 ]);
    copy($file, "$dir/backup") or die "backup: $!";
    $t->verb(ep => 'advance');
    move("$dir/backup", $file) or die "state.json: $!";
    is($t->verb(ep => 'advance')->{weight}, 0.6, 'what is known is newer');
    ok(warned(qr/replaced while .*it is written anew/), 'which is said');
    unlink $file or die "state.json: $!";
    is($t->verb(ep => 'advance')->{weight}, 0.8, 'a write goes on');
    $t->write_file('canary/state.json', "no state\n");
    is($t->verb(ep => 'pause')->{phase}, 'paused', 'also over what is none');
    $t->stop;
    $t->start;
    is($t->endpoint('ep')->{weight}, 0.8, 'it is in the file');
    is($t->endpoint('ep')->{phase}, 'paused', 'all of it');
    $t->verb(ep => 'rollback');
};

subtest 'by one of another nginx' => sub {
    my $other = Canary::Test->new(timeout => 240);

    $t->start_rollout('ep', steps => [ 0.2, 0.4 ]);
    $other->start($ports);
    $other->start_rollout('ep', steps => [ 0.3, 0.7 ]);
    $other->verb(ep => 'pause');
    $other->stop;
    copy($other->dir . '/canary/state.json', "$dir/theirs") or die $!;
    move("$dir/theirs", $file) or die "state.json: $!";

    is($t->api_post('endpoints/ep/rollout/advance')->status, 503,
       'what it says is not overwritten');
    ok(warned(qr/one of another nginx, which is taken over/), 'which is said');
    is($t->endpoint('ep')->{phase}, 'paused', 'but taken over');
    is($t->endpoint('ep')->{weight}, 0.3, 'its weight');
    is($t->verb(ep => 'resume')->{phase}, 'progressing', 'and goes on');
    $t->verb(ep => 'rollback');
};

subtest 'the directory is moved away' => sub {
    $t->start_rollout('ep', steps => [ 0.2, 0.4, 0.6 ]);
    move($dir, "$dir.moved") or die "canary: $!";
    my $refused = $t->api_post('endpoints/ep/rollout/advance');
    is($refused->status, 503, 'no directory, no write');
    like($refused->json->{detail}, qr/cannot be written.*No such file/, 'why');
    mkdir $dir, 0700 or die "canary: $!";
    $t->wait_for(sub { -e $file }, 20, 'the file');
    is($t->verb(ep => 'advance')->{weight}, 0.4, 'into another one');
    $t->stop;
    $t->start;
    is($t->endpoint('ep')->{weight}, 0.4, 'where it is found');
    $t->verb(ep => 'rollback');
};

$t->finish;


sub second() {
    my $second = Canary::Test->new(timeout => 240);

    return $second->start("canary_state_path $dir; $ports", as => $t);
}


sub warned($what) {
    return scalar grep { /\[warn\].* canary: .*$what/ }
        split /^/, $t->error_log;
}
