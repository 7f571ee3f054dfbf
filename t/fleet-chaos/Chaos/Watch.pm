package Chaos::Watch;

# Who looks at a node, or at Redis, some 25 times a second, and writes down
# what there is: a process for each, lines of fields with tabs between.
#
# Of a node: begun, ended (seconds of the monotonic clock), how often its log
# had said "joined" when it was begun, and when it was ended, reached (1, 0),
# ETag, phase, weight, stable, canary, number and result of the last rollout
# that has ended. Of Redis: begun, ended, its time (ms), seed, version, born
# (ms), record (its first line).

use v5.36;

use Canary::Client;
use Canary::Util qw(fork_child now pause);

use constant PAUSE => 0.04;


sub node($class, $file, $port, $log) {
    my ($at, $joined) = (0, 0);

    my $count = sub () {
        if (open my $in, '<', $log) {
            seek $in, $at, 0;
            while (my $line = <$in>) {
                last if $line !~ /\n\z/;
                $at += length $line;
                $joined++ if $line =~ /fleet "shop": "\w+" joined$/;
            }
        }
        return $joined;
    };
    my $client = Canary::Client->new($port);

    return $class->_start($file, sub () {
        my $begun = now();
        my $before = $count->();
        my $response = $client->get('/canary/endpoints/ep', timeout => 1);

        return if $response->status != 200 || $response->error;

        return join "\t", $begun, now(), $before, $count->(),
            _fields($response);
    });
}


sub _fields($response) {
    my $body = $response->body;
    my ($id, $result) = $body =~
        /"last_rollout":\{"id":(\d+),.*?"result":"(\w+)"/;
    my ($etag) = $response->header('ETag') =~ /"(.*)"/;

    return ($body =~ /"reached":true/ ? 1 : 0, $etag // '-',
            $body =~ /"phase":"(\w+)"/, $body =~ /"weight":([-\d.e]+)/,
            $body =~ /"stable":"(\w+)"/,
            $body =~ /"canary":"(\w+)"/ ? $1 : '-', $id // 0,
            $result // '-');
}


# What there is while Redis hangs is what there was: it is waited for.

sub redis($class, $file, $redis) {
    my $look = <<~'EOL';
        return { redis.call('TIME'), redis.call('HMGET',
            'canary:{shop}:rec', '@seed', '@ver', '@born', 'ep') }
        EOL

    my $owner = $$;

    return $class->_start($file, sub () {
        ($owner, $redis->{connection}) = ($$) if $owner != $$;

        my $begun = now();
        my $answer = eval { $redis->call(EVAL => $look, 0) } // return;
        my ($time, $fields) = @$answer;
        my @fields = map { $_ // '-' } @$fields;

        $fields[3] =~ s/\n.*//s;

        return join "\t", $begun, now(), $time->[0] * 1000 + $time->[1] / 1000,
            @fields;
    });
}


sub _start($class, $file, $look) {
    my $pid = fork_child(sub () {
        my $stopping;

        local $SIG{TERM} = sub { $stopping = 1 };
        open my $out, '>>', $file or die "$file: $!";
        $out->autoflush(1);

        until ($stopping) {
            my $line = $look->();

            say {$out} $line if defined $line;
            pause(PAUSE);
        }
    });

    return bless { pid => $pid }, $class;
}


sub stop($self) {
    my $pid = delete $self->{pid} // return;

    kill TERM => $pid;
    waitpid $pid, 0;

    return;
}


1;
